//! What servers stream and answer, read by every dialect: nothing panics, and errors are short.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_pool::chat::{Anthropic, Dialect, Draft, Frame, Framing, OpenAi, Yandex};
use llm_pool::fuzzing::frames;

fuzz_target!(|body: &[u8]| {
    let dialects: [&dyn Dialect; 3] =
        [&OpenAi::compatible(), &Anthropic::default(), &Yandex::new("folder")];
    for dialect in dialects {
        let mut draft = Draft::default();
        for (name, data) in frames(Framing::Events, 1 << 16, [body]).into_iter().flatten() {
            if let Err(error) = dialect.piece(Frame::new(&name, &data), &mut draft) {
                assert!(error.to_string().len() < 5000);
                break;
            }
        }
        let _ = dialect.end(&mut draft);
        let _ = dialect.answer(body, &mut Draft::default());
        let _ = dialect.embeddings(body);
        let _ = dialect.models(body);
    }
});
