//! One connection's thread: reads a request, waits out its delay, answers, and again.

use std::io;
use std::sync::Arc;

use super::answer::Answer;
use super::send::{After, Sender};
use super::socket::{Connection, Line, Socket};
use super::state::Shared;
use crate::http1::{Bounds, ReadError, Reader};

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Serves a connection until either side closes it.
pub(super) fn run(shared: &Shared, connection: u64, line: Arc<Line>) {
    let socket = Socket(line.clone());
    let opened: io::Result<Box<dyn Connection>> = match &shared.wrap {
        Some(wrap) => wrap(socket),
        None => Ok(Box::new(socket)),
    };
    match opened {
        Ok(mut opened) => serve(shared, connection, &line, &mut *opened),
        Err(error) => log::debug!("test server: connection {connection} refused: {error}"),
    }
}

fn serve(shared: &Shared, connection: u64, line: &Line, stream: &mut dyn Connection) {
    let bounds = Bounds { head: MAX_HEAD, body: shared.max_body };
    let mut reader = Reader::new();
    let mut answer = Answer::new();
    let mut sender = Sender::new(shared, connection);
    loop {
        let request = match reader.next(stream, bounds) {
            Ok(request) => request,
            Err(ReadError::Gone) => return,
            Err(ReadError::Bad(status, why)) => {
                answer.refuse(status, why);
                if sender.refuse(&answer, stream).is_ok() {
                    line.close_in_order();
                }
                return;
            }
        };
        let (order, mut flight) = shared.begin(connection, &request);
        if !shared.wait(order.delay) {
            return;
        }
        answer.compose(&request, &order.reply, order.number, &shared.rules);
        let sent = sender.send(&answer, &request, &order, stream, &mut flight);
        match sent {
            Ok(After::GoOn) => {}
            Ok(After::Close) | Err(_) => return,
            Ok(After::Reset) => {
                line.reset_on_close();
                return;
            }
            Ok(After::Stall) => {
                line.wait_for_end();
                return;
            }
        }
    }
}
