//! Many threads with one token that ends while they use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::raw::{Server, header, ok};

/// What the server knows of its tokens.
#[derive(Default)]
struct Account {
    fetches: AtomicUsize,
    expired: AtomicBool,
    expiries: AtomicUsize,
    answers: AtomicUsize,
    refusals: AtomicUsize,
}

impl Account {
    /// Whether it may be answered; every two-hundredth answer is the last one of its token.
    fn lets_in(&self, authorization: &str) -> bool {
        let current = format!("Bearer access-{}", self.fetches.load(SeqCst));
        if self.expired.load(SeqCst) || authorization != current {
            let fetches = self.fetches.load(SeqCst);
            // Every other one comes when the next token is there already, and must not cost it.
            if self.refusals.fetch_add(1, SeqCst) % 2 == 1 {
                eventually(|| self.fetches.load(SeqCst) > fetches || !self.expired.load(SeqCst));
            }
            return false;
        }
        let answers = self.answers.fetch_add(1, SeqCst) + 1;
        if answers % EACH_TOKEN == 0 && answers < CALLS {
            self.expired.store(true, SeqCst);
            self.expiries.fetch_add(1, SeqCst);
        }
        true
    }

    fn fetch(&self) -> String {
        // As slow as across a country, so that others come meanwhile.
        thread::sleep(millis(20));
        let number = self.fetches.fetch_add(1, SeqCst) + 1;
        self.expired.store(false, SeqCst);
        format!(r#"{{"access_token":"access-{number}","expires_at":{}}}"#, in_half_an_hour())
    }

    fn serve(self: Arc<Self>) -> Server {
        Server::start(move |head, to| {
            if head.starts_with("POST /api/v2/oauth") {
                return ok(to, &self.fetch());
            }
            if self.lets_in(header(head, "authorization").unwrap()) {
                return ok(to, ANSWER);
            }
            let body = r#"{"status":401,"message":"Token has expired"}"#;
            write!(to, "HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        })
    }
}

const THREADS: usize = 50;
const EACH: usize = 16;
const EACH_TOKEN: usize = 200;
const CALLS: usize = THREADS * EACH;

#[test]
fn a_token_that_ends_in_mid_run_costs_no_call_and_one_fetch_each_time() {
    let account = Arc::new(Account::default());
    let server = account.clone().serve();
    let provider =
        GigaChat::new(KEY).oauth_url(server.url("/api/v2/oauth")).base_url(server.url("/api/v1"));
    let pool = config(provider).build().unwrap();
    let tasks: Vec<_> = (0..THREADS)
        .map(|number| {
            let pool = pool.clone();
            spawn(move || {
                for round in 0..EACH {
                    let stream = (number + round) % 3 == 0;
                    let reply = match stream {
                        true => pool.stream(&key(), "?").unwrap().finish().unwrap(),
                        false => pool.chat(&key(), "?").unwrap(),
                    };
                    assert_eq!((reply.text(), reply.tries()), ("Привет!", 1));
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| task.result());
    let count = |of: &AtomicUsize| of.load(SeqCst);
    assert_eq!(count(&account.answers), CALLS);
    assert_eq!(count(&account.expiries), CALLS / EACH_TOKEN - 1);
    assert_eq!(count(&account.fetches), count(&account.expiries) + 1, "one for each and the first");
    assert!(count(&account.refusals) >= count(&account.expiries));
    assert_eq!(pool.stats().sum.in_use, 0);
}
