//! Peers that break the protocol: each is closed with the right code, and no other notices.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use llm_pool::ManualClock;
use llm_pool::websocket::{CloseReason, Message, WebSocketConfig, WebSocketError};
use tungstenite::WebSocket;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::frame::{CloseFrame, Frame};

use crate::peers::{Peers, read_to_the_end, registry};
use crate::support::*;

/// Opens a socket to a peer that is rough, and one to a peer that is not. Gives what the first said
/// to its holder, or to nobody, and the close that its peer saw.
#[track_caller]
fn meet(
    config: WebSocketConfig,
    held: bool,
    rough: impl Fn(&mut WebSocket<TcpStream>) + Send + Sync + 'static,
) -> (Option<WebSocketError>, CloseReason, Option<(u16, String)>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let peers = Peers::playing(move |socket| {
        rough(socket);
        let _ = tell.lock().unwrap().send(read_to_the_end(socket));
    });
    let well = Peers::echo();
    // By a clock that stands still: the background does not come first.
    let sockets = registry(config.clock(ManualClock::new().clock()));
    sockets.connect("rough", peers.url()).unwrap();
    sockets.connect("well", well.url()).unwrap();
    let mut error = None;
    if held {
        let mut lease = sockets.get("rough").unwrap();
        error = Some(loop {
            match lease.receive(LIMIT) {
                Ok(_) => {}
                Err(error) => break error,
            }
        });
        assert!(error.as_ref().is_some_and(WebSocketError::ends_socket));
        assert!(lease.send("more").is_err());
    }
    eventually(|| {
        sockets.clean_up();
        !sockets.contains("rough")
    });
    let stats = sockets.stats();
    let reason = CloseReason::ALL.into_iter().find(|reason| stats.closed(*reason) == 1);
    let mut other = sockets.get("well").unwrap();
    other.send("well").unwrap();
    assert_eq!(other.receive(LIMIT).unwrap(), Message::from("well"));
    let began = Instant::now();
    let saw = loop {
        sockets.clean_up();
        match told.recv_timeout(millis(5)) {
            Ok(saw) => break saw,
            Err(error) => assert!(began.elapsed() < LIMIT, "{error}"),
        }
    };
    (error, reason.unwrap(), saw)
}

fn code(close: Option<(u16, String)>) -> Option<u16> {
    close.map(|(code, _)| code)
}

#[test]
fn a_message_or_frame_that_is_too_large_is_closed_with_1009() {
    let config = || WebSocketConfig::default().max_message_size(5000).max_frame_size(2000);
    for held in [true, false] {
        let (error, reason, close) = meet(config(), held, |socket| {
            socket.send("x".repeat(2001).into()).unwrap();
        });
        assert_eq!((reason, code(close)), (CloseReason::TooLarge, Some(1009)));
        if let Some(error) = error {
            let shown = error.to_string();
            assert!(shown.contains("too large a message (code 1009)"), "{shown}");
            assert!(shown.contains("2001 > 2000"), "{shown}");
        }
        // In frames that may be, each by itself.
        let (_, reason, close) = meet(config(), held, |socket| {
            use tungstenite::protocol::frame::coding::{Data, OpCode};
            for n in 0..6 {
                let kind = if n == 0 { Data::Text } else { Data::Continue };
                let frame = Frame::message("x".repeat(1000), OpCode::Data(kind), n == 5);
                socket.send(tungstenite::Message::Frame(frame)).unwrap();
            }
        });
        assert_eq!((reason, code(close)), (CloseReason::TooLarge, Some(1009)));
    }
}

#[test]
fn a_peer_that_goes_on_sending_a_large_frame_still_sees_why_it_was_closed() {
    let (_, reason, close) = meet(WebSocketConfig::default(), false, |socket| {
        // More than all buffers below take.
        let _ = socket.send("x".repeat(15 << 20).into());
    });
    assert_eq!((reason, code(close)), (CloseReason::TooLarge, Some(1009)));
}

#[test]
fn a_broken_frame_is_closed_with_1002_and_a_text_that_is_none_with_1007() {
    let raw: [(&'static [u8], CloseReason, u16); 6] = [
        (&[0xF1, 1, b'x'], CloseReason::Protocol, 1002), // reserved bits
        (&[0x83, 1, b'x'], CloseReason::Protocol, 1002), // no such kind
        (&[0x80, 1, b'x'], CloseReason::Protocol, 1002), // goes on with nothing
        (&[0x09, 0], CloseReason::Protocol, 1002),       // a ping in pieces
        (&[0x81, 0x81, 1, 2, 3, 4, 5], CloseReason::Protocol, 1002), // masked
        (&[0x81, 2, 0xC3, 0x28], CloseReason::NotText, 1007),
    ];
    for (bytes, wanted, wanted_code) in raw {
        for held in [true, false] {
            let (_, reason, close) = meet(WebSocketConfig::default(), held, move |socket| {
                socket.get_mut().write_all(bytes).unwrap();
            });
            assert_eq!((reason, code(close)), (wanted, Some(wanted_code)), "{bytes:x?}");
        }
    }
}

#[test]
fn a_flood_of_pings_or_of_pongs_nobody_asked_for_is_closed_with_1008() {
    for held in [true, false] {
        for pong in [false, true] {
            let (_, reason, close) = meet(WebSocketConfig::default(), held, move |socket| {
                for _ in 0..2000 {
                    let frame = if pong { Frame::pong("") } else { Frame::ping("") };
                    let _ = socket.write(tungstenite::Message::Frame(frame));
                }
                let _ = socket.flush();
            });
            assert_eq!((reason, code(close)), (CloseReason::Flood, Some(1008)));
        }
    }
}

#[test]
fn a_peer_that_closes_is_answered_with_its_own_code_and_the_holder_told() {
    let (error, reason, close) = meet(WebSocketConfig::default(), true, |socket| {
        socket.send("last words".into()).unwrap();
        let frame = CloseFrame { code: CloseCode::Library(4321), reason: "enough".into() };
        socket.close(Some(frame)).unwrap();
    });
    assert_eq!((reason, code(close)), (CloseReason::ByPeer, Some(4321)));
    let shown = error.unwrap().to_string();
    assert_eq!(shown, "the socket is closed: closed by the peer (code 4321): enough");
}

#[test]
fn a_peer_that_hangs_up_without_a_close_is_lost() {
    let (error, reason, _) = meet(WebSocketConfig::default(), true, |socket| {
        let _ = socket.get_mut().shutdown(std::net::Shutdown::Both);
    });
    assert_eq!(reason, CloseReason::Lost);
    assert!(error.unwrap().to_string().contains("hung up without a close"));
}

#[test]
fn a_peer_that_takes_nothing_is_closed_after_the_write_timeout() {
    let peers = Peers::playing(|_| std::thread::sleep(LIMIT));
    let sockets = registry(WebSocketConfig::default().write_timeout(millis(200)));
    sockets.connect("a", peers.url()).unwrap();
    let mut lease = sockets.get("a").unwrap();
    let began = std::time::Instant::now();
    let error = (0..).find_map(|_| lease.send("x".repeat(1 << 20)).err()).unwrap();
    assert!(error.to_string().contains("does not read"), "{error}");
    assert!(began.elapsed() < secs(5));
    drop(lease);
    assert_eq!(sockets.stats().closed(CloseReason::Stuck), 1);
    assert!(sockets.is_empty());
}

#[test]
fn endless_empty_fragments_keep_no_visit_from_ending() {
    let peers = Peers::playing(|socket| {
        let first = [0x01, 0];
        let more = [0x00, 0].repeat(1 << 20);
        let _ = socket.get_mut().write_all(&first);
        while socket.get_mut().write_all(&more).is_ok() {}
    });
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a", peers.url()).unwrap();
    let began = std::time::Instant::now();
    (0..10).for_each(|_| sockets.clean_up());
    assert!(began.elapsed() < secs(2), "{:?}", began.elapsed());
}
