//! Planned replies: delays, statuses, faults.

use super::*;

#[test]
fn a_delay_holds_the_answer_back_and_can_be_changed_while_running() {
    let server = TestServer::builder().delay(Duration::from_millis(60)).start().unwrap();
    let agent = agent();
    let time = || {
        let start = Instant::now();
        chat(&agent, &server).unwrap();
        start.elapsed()
    };
    assert!(time() >= Duration::from_millis(60));
    server.set_delay(Duration::ZERO);
    assert!(time() < Duration::from_millis(60));
    server.plan(Reply::ok().delay(Duration::from_millis(60)));
    assert!(time() >= Duration::from_millis(60));
}

#[test]
fn a_status_is_forced_for_the_next_requests_and_then_no_more() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::status(429).retry_after(Duration::from_millis(1500)).times(2));
    server.plan(Reply::status(418).message("I am a \"teapot\"").header("retry-after", "0.05"));
    server.plan(Reply::status(500).times(0));
    assert_eq!(server.stats().planned, 3);
    let agent = agent();
    for (status, after) in [(429, "2"), (429, "2"), (418, "0.05")] {
        let mut answer = agent.post(server.chat_url()).send(ask("hi")).unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["retry-after"], after);
        let text = answer.body_mut().read_to_string().unwrap();
        let error = &serde_json::from_str::<Value>(&text).unwrap()["error"];
        if status == 429 {
            assert_eq!(error["code"], "rate_limit_exceeded");
        } else {
            assert_eq!(error["message"], "I am a \"teapot\"");
        }
    }
    assert_eq!(chat(&agent, &server).unwrap().0, 200);
    assert_eq!(server.stats().connections, 1, "a refusal does not cost the connection");
}

#[test]
fn replies_are_set_for_all_requests_and_a_plan_goes_before_them() {
    let server = TestServer::builder().reply(Reply::ok().content("same")).start().unwrap();
    let agent = agent();
    let said = || chat(&agent, &server).unwrap().1["choices"][0]["message"]["content"].clone();
    assert_eq!(said(), "same");
    server.plan(Reply::ok().content("planned"));
    assert_eq!((said(), said()), (json!("planned"), json!("same")));
    server.plan(Reply::status(500).times(9));
    server.clear_plan();
    server.set_reply(Reply::ok().body("{\"own\": 1}"));
    assert_eq!(chat(&agent, &server).unwrap(), (200, json!({"own": 1})));
    server.set_reply(Reply::status(204));
    assert_eq!(chat(&agent, &server).unwrap().0, 204);
    assert_eq!(chat(&agent, &server).unwrap().0, 204);
    assert_eq!(server.stats().connections, 1);
}

/// Sends a chat on a connection of its own, planned to fail, and gives back what came of it.
fn faulty(server: &TestServer, fault: Fault, body: &str) -> (String, Option<ErrorKind>) {
    server.plan(Reply::fault(fault));
    let mut raw = Raw::to(server);
    raw.post(body);
    raw.rest()
}

/// The head, the length it tells and the body of an answer.
fn parts(text: &str) -> (&str, usize, &str) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head, header(head, "content-length").unwrap().parse().unwrap(), body)
}

#[test]
fn closing_before_the_answer_leaves_nothing_and_no_reset() {
    let server = TestServer::start().unwrap();
    assert_eq!(faulty(&server, Fault::CloseBeforeAnswer, &ask("hi")), (String::new(), None));
    assert_eq!(server.stats().in_flight, 0);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn closing_during_the_answer_leaves_half_the_body_or_half_the_stream() {
    let server = TestServer::start().unwrap();
    let (text, error) = faulty(&server, Fault::CloseDuringAnswer, &ask("hi"));
    let (_, told, body) = parts(&text);
    assert_eq!((body.len(), error), (told / 2, None));

    let (text, error) = faulty(&server, Fault::CloseDuringAnswer, &ask_stream("a b"));
    assert_eq!((text.matches("data: ").count(), error), (3, None));
    assert!(!text.contains("[DONE]"));
    let client = agent();
    server.plan(Reply::fault(Fault::CloseDuringAnswer));
    assert!(chat(&client, &server).is_err());
}

#[test]
fn closing_after_the_answer_says_keep_alive_all_the_same() {
    let server = TestServer::start().unwrap();
    let (text, error) = faulty(&server, Fault::CloseAfterAnswer, &ask("hi"));
    let (head, told, body) = parts(&text);
    assert_eq!((body.len(), error), (told, None));
    assert_eq!(header(head, "connection"), Some("keep-alive"));
    let (text, error) = faulty(&server, Fault::CloseAfterAnswer, &ask_stream("a b"));
    assert!(text.ends_with("0\r\n\r\n") && error.is_none());
}

#[test]
fn a_wrong_length_is_too_long_and_closes_or_too_short_and_goes_on() {
    let server = TestServer::start().unwrap();
    for body in [ask("hi"), ask_stream("hi")] {
        let (text, error) = faulty(&server, Fault::LengthTooLong, &body);
        let (_, told, body) = parts(&text);
        assert_eq!((body.len() + 16, error), (told, None));
    }
    server.plan(Reply::fault(Fault::LengthTooShort));
    let mut raw = Raw::to(&server);
    raw.post(&ask("hi"));
    let half = raw.answer();
    let mut rest = vec![0; half.body.len()];
    raw.0.read_exact(&mut rest).unwrap();
    raw.send("GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert!(raw.rest().0.contains("HTTP/1.1 200 OK"));
}

#[test]
fn a_garbage_status_line_is_no_http() {
    let server = TestServer::start().unwrap();
    let (text, error) = faulty(&server, Fault::GarbageStatusLine, &ask("hi"));
    assert_eq!((text.as_str(), error), ("this is not HTTP\r\n\r\n", None));
    server.plan(Reply::fault(Fault::GarbageStatusLine));
    assert!(chat(&agent(), &server).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn a_reset_resets_before_or_during_the_answer() {
    let server = TestServer::start().unwrap();
    let reset = Some(ErrorKind::ConnectionReset);
    assert_eq!(faulty(&server, Fault::Reset, &ask("hi")), (String::new(), reset));
    let (text, error) = faulty(&server, Fault::ResetDuringAnswer, &ask("hi"));
    let (_, told, body) = parts(&text);
    assert_eq!((body.len(), error), (told / 2, reset));
    assert_eq!(server.requests().len(), 2, "the requests were read all the same");
}

#[test]
fn a_reset_hits_the_connection_whose_request_took_it_and_no_other() {
    let server = TestServer::start().unwrap();
    let (mut one, mut two) = (Raw::to(&server), Raw::to(&server));
    for raw in [&mut one, &mut two] {
        raw.get("/v1/models");
        raw.answer();
    }
    server.plan(Reply::ok());
    server.plan(Reply::fault(Fault::Reset));
    one.send("GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n");
    let (text, error) = one.rest();
    assert!(text.starts_with("HTTP/1.1 200") && error.is_none(), "{error:?}");
    two.get("/v1/models");
    assert_eq!(two.rest(), (String::new(), Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_reset_may_be_planned_while_requests_wait_for_their_answers() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().delay(Duration::from_millis(30)));
    let mut raw = Raw::to(&server);
    let one = "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n";
    raw.send(format!("{one}{one}"));
    server.wait_until(SOON, |stats| stats.in_flight == 1).unwrap();
    server.plan(Reply::fault(Fault::Reset));
    raw.answer();
    assert_eq!(raw.rest(), (String::new(), Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_reset_reaches_a_client_that_has_ended_its_own_direction() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::Reset).delay(Duration::from_millis(30)));
    let mut raw = Raw::to(&server);
    raw.get("/v1/models");
    raw.0.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(raw.rest(), (String::new(), Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_close_is_no_reset_though_the_client_has_sent_more_than_was_read() {
    let server = TestServer::start().unwrap();
    let mut request = b"GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec();
    // More than the server reads at once, and little enough to be there when it closes.
    request.resize(32 << 10, b'x');
    for fault in [
        None,
        Some(Fault::CloseBeforeAnswer),
        Some(Fault::CloseDuringAnswer),
        Some(Fault::CloseAfterAnswer),
        Some(Fault::LengthTooLong),
        Some(Fault::GarbageStatusLine),
    ] {
        let reply = Reply::ok().delay(Duration::from_millis(30));
        server.plan(fault.into_iter().fold(reply, Reply::with_fault));
        let mut raw = Raw::to(&server);
        raw.send(&request);
        assert_eq!(raw.rest().1, None, "{fault:?}");
    }
    server.plan(Reply::ok().delay(Duration::from_secs(60)));
    let mut raw = Raw::to(&server);
    raw.send(&request);
    server.wait_until(SOON, |stats| stats.in_flight == 1).unwrap();
    drop(server);
    assert_eq!(raw.rest(), (String::new(), None));
}

#[test]
fn a_stall_lasts_until_the_client_goes_away() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::Stall));
    let mut raw = Raw::to(&server);
    raw.post(&ask("hi"));
    server.wait_until(SOON, |stats| stats.in_flight == 1).unwrap();
    assert!(raw.is_silent());
    drop(raw);
    server.wait_until(SOON, |stats| stats.in_flight == 0 && stats.open == 0).unwrap();
}

#[test]
fn a_stall_during_the_answer_sends_half_and_then_nothing() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::StallDuringAnswer));
    let mut raw = Raw::to(&server);
    raw.post(&ask("hi"));
    let head = raw.head().unwrap();
    let told: usize = header(&head, "content-length").unwrap().parse().unwrap();
    raw.0.read_exact(&mut vec![0; told / 2]).unwrap();
    assert!(raw.is_silent());
    assert_eq!(server.stats().in_flight, 1);
}

#[test]
fn a_reset_after_the_answer_comes_when_the_answer_is_whole() {
    let server = TestServer::start().unwrap();
    let (text, error) = faulty(&server, Fault::ResetAfterAnswer, &ask("hi"));
    let (head, told, body) = parts(&text);
    assert_eq!((body.len(), error), (told, Some(ErrorKind::ConnectionReset)));
    assert_eq!(header(head, "connection"), Some("keep-alive"));
}

#[test]
fn a_stall_during_the_head_sends_half_of_it() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::StallDuringHead));
    let mut raw = Raw::to(&server);
    raw.post(&ask("hi"));
    let mut start = [0; 20];
    raw.0.read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"HTTP/1.1 200 OK\r\n"));
    server.disconnect_all();
    let (rest, _) = raw.rest();
    assert!(!rest.is_empty() && !rest.contains("\r\n\r\n"), "{rest}");
}

#[test]
fn a_stall_after_the_answer_leaves_a_connection_on_which_nothing_more_comes() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::StallAfterAnswer));
    let mut raw = Raw::to(&server);
    raw.post(&ask("hi"));
    assert!(raw.answer().head.contains("keep-alive"));
    assert_eq!(server.stats().in_flight, 0);
    raw.post(&ask("hi"));
    assert!(raw.is_silent());
    assert_eq!((server.stats().requests, server.stats().open), (1, 1));
    drop(raw);
    server.wait_until(SOON, |stats| stats.open == 0).unwrap();
}

#[test]
fn an_answer_that_drips_is_whole_in_the_end_and_the_pauses_are_kept() {
    let server = TestServer::start().unwrap();
    let drip = || Reply::fault(Fault::Drip).pause(Duration::from_micros(100));
    let client = agent();
    for (body, end) in [(ask("hi"), "}"), (ask_stream("a b"), "[DONE]\n\n")] {
        server.plan(drip());
        let began = Instant::now();
        let mut answer = client.post(server.chat_url()).send(body).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert!(text.ends_with(end), "{text}");
        assert!(began.elapsed() >= Duration::from_micros(100) * text.len() as u32);
    }
    // Otherwise nothing is wrong, and a stop does not wait for the last byte.
    assert_eq!(server.stats().connections, 1);
    server.plan(drip().pause(Duration::from_secs(1)));
    let mut raw = Raw::to(&server);
    raw.post(&ask("hi"));
    raw.0.read_exact(&mut [0]).unwrap();
    let began = Instant::now();
    drop(server);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_server_can_start_again_at_its_port() {
    let server = TestServer::start().unwrap();
    let (client, port) = (agent(), server.addr().port());
    assert_eq!(chat(&client, &server).unwrap().0, 200);
    drop(server);
    let server = TestServer::builder().port(port).start().unwrap();
    assert_eq!(server.addr().port(), port);
    assert_eq!(chat(&client, &server).unwrap().0, 200);
    let taken = TestServer::builder().port(port).start();
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
}
