//! How often the reading of a stream allocates, counted on its thread.

use std::fmt::Write;

use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{LlmConfig, Provider};
use llm_pool::test_server::{Reply, TestServer};

const PIECES: usize = 10_000;

/// As OpenAI sends it.
fn body() -> String {
    let mut body = String::new();
    for number in 0..PIECES {
        write!(
            body,
            "data: {{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\
             \"chat.completion.chunk\",\"created\":1741570283,\"model\":\"gpt-4o-2024-08-06\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" token{number}\"}},\
             \"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
        )
        .unwrap();
    }
    body + "data: [DONE]\n\n"
}

#[test]
fn a_piece_costs_the_allocation_of_its_text_and_no_other() {
    let server = TestServer::start().unwrap();
    server.set_reply(Reply::ok().pieces([body()]));
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    let provider = Provider::new(format!("{}/v1", server.url()));
    let pool = LlmConfig::default().agents(agents).provider("test", provider).build().unwrap();
    let mut pieces = 0;
    let counts = allocation_counter::measure(|| {
        let stream = pool.stream(&ModelKey::new("test", "small"), "Go on.").unwrap();
        pieces = stream.filter(|piece| !piece.as_ref().unwrap().text().is_empty()).count();
    });
    assert_eq!(pieces, PIECES);
    let a_piece = counts.count_total as f64 / PIECES as f64;
    println!("{a_piece:.2} allocations a piece");
    // The rest is the first connection, and the text that grows.
    assert!(a_piece < 1.1, "{a_piece}");
}
