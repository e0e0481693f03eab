//! Settings files: read, or refused with a reason for each fault; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_pool::settings::Settings;

fuzz_target!(|text: &str| {
    // Names of files would be opened, and this is no test of the file system.
    if text.contains("file") || text.contains("certs") {
        return;
    }
    match Settings::parse(text) {
        // What was read is told without fail.
        Ok(settings) => drop(settings.values()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
