//! What the server is told to do with a request.

use std::time::Duration;

/// How one request is answered: after which delay, with which status, with which fault.
///
/// ```
/// use llm_pool::test_server::{Fault, Reply};
/// use std::time::Duration;
///
/// let busy = Reply::status(503).retry_after(Duration::from_secs(1)).times(3);
/// let slow = Reply::ok().delay(Duration::from_millis(50)).content("Better late than never.");
/// let dead = Reply::fault(Fault::Stall);
/// # let _ = (busy, slow, dead);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Reply {
    /// None: the server's own.
    pub(super) delay: Option<Duration>,
    /// None: the server's own.
    pub(super) pause: Option<Duration>,
    /// None: any.
    pub(super) path: Option<String>,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) message: Option<String>,
    pub(super) content: Option<String>,
    pub(super) reasoning: Option<String>,
    /// Functions to call and their arguments.
    pub(super) calls: Vec<(String, String)>,
    pub(super) finish_reason: Option<String>,
    /// Tokens of the prompt and of the completion.
    pub(super) usage: Option<(u64, u64)>,
    pub(super) error_mid_stream: Option<String>,
    pub(super) body: Option<Body>,
    pub(super) content_type: Option<String>,
    pub(super) fault: Option<Fault>,
    pub(super) times: usize,
}

impl Reply {
    /// The proper answer to what was asked, which may be a 404.
    pub fn ok() -> Self {
        Self {
            delay: None,
            pause: None,
            path: None,
            status: 200,
            headers: Vec::new(),
            message: None,
            content: None,
            reasoning: None,
            calls: Vec::new(),
            finish_reason: None,
            usage: None,
            error_mid_stream: None,
            body: None,
            content_type: None,
            fault: None,
            times: 1,
        }
    }

    /// This status, whatever was asked, with an error object as its body; 200 is
    /// [`Reply::ok`]. Sent as given, even if no client understands it.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::ok() }
    }

    /// The proper answer, spoilt by `fault`.
    pub fn fault(fault: Fault) -> Self {
        Self::ok().with_fault(fault)
    }

    /// Waits this long before answering. Default: the server's delay. That the client has gone
    /// away meanwhile is noticed only afterwards.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Waits this long between the pieces of a stream. Default: the server's pause.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    /// Adds `Retry-After` in whole seconds, rounded up. For anything else, a date or a fraction,
    /// see [`header`](Self::header).
    pub fn retry_after(self, after: Duration) -> Self {
        let up = u64::from(after.subsec_nanos() > 0);
        self.header("retry-after", after.as_secs().saturating_add(up).to_string())
    }

    /// Adds a header, sent as given: nothing is checked or replaced.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The message in the error object. Default: one that names the status.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// What the assistant says. It is cut where the request's `stop` or `max_tokens` has it end.
    /// Default: what the request asks for, see [the module](super); mostly `You said: ` and the
    /// last user message.
    pub fn content(mut self, content: impl Into<String>) -> Self {
        self.content = Some(content.into());
        self
    }

    /// What the assistant thinks before it speaks, told as `reasoning_content`. It counts for
    /// `max_tokens`. Default: nothing.
    pub fn reasoning(mut self, text: impl Into<String>) -> Self {
        self.reasoning = Some(text.into());
        self
    }

    /// Lets the assistant call this function, whether or not the request offers it; once more for
    /// each time this is called. The arguments are to be JSON and are sent as given. Default: the
    /// functions that the request asks for, if any; with [`content`](Self::content), none.
    ///
    /// ```
    /// use llm_pool::test_server::Reply;
    ///
    /// let both = Reply::ok()
    ///     .reasoning("Two cities, two calls.")
    ///     .tool_call("get_weather", r#"{"city": "Oslo"}"#)
    ///     .tool_call("get_weather", r#"{"city": "Rome"}"#);
    /// # let _ = both;
    /// ```
    pub fn tool_call(mut self, name: impl Into<String>, arguments_json: impl Into<String>) -> Self {
        self.calls.push((name.into(), arguments_json.into()));
        self
    }

    /// The reason told for the end of a chat, such as `content_filter`. Default: the true one,
    /// `stop`, `length` or `tool_calls`.
    pub fn finish_reason(mut self, reason: impl Into<String>) -> Self {
        self.finish_reason = Some(reason.into());
        self
    }

    /// The tokens told as used, by the prompt and by the completion. Default: as many as there are
    /// words.
    pub fn usage(mut self, prompt: u64, completion: u64) -> Self {
        self.usage = Some((prompt, completion));
        self
    }

    /// Puts an event with an error object of this message in the place of a stream's second half,
    /// `[DONE]` included; the HTTP answer itself ends properly. An answer that is not a stream
    /// stays whole. Default: no such error.
    pub fn error_mid_stream(mut self, message: impl Into<String>) -> Self {
        self.error_mid_stream = Some(message.into());
        self
    }

    /// The whole body, sent as `application/json` unless a [`content_type`](Self::content_type)
    /// is given. Default: made by the server.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(Body { bytes: body.into(), ends: Vec::new(), in_pieces: false });
        self
    }

    /// The whole body in pieces, such as a recorded stream: each is sent as one chunk and flushed
    /// by itself, with the [`pause`](Self::pause) between them. Sent as `text/event-stream` unless
    /// a [`content_type`](Self::content_type) is given. An empty piece is left out, for in HTTP it
    /// would be the end. The pieces are sent as they are, whatever the request asked for.
    ///
    /// ```
    /// use llm_pool::test_server::{Reply, TestServer};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::start()?;
    /// let events = ["event: ping\ndata: {}\n\n", "event: message_stop\ndata: {}\n\n"];
    /// server.plan(Reply::ok().pieces(events).at("/v1/messages"));
    ///
    /// let url = format!("{}/v1/messages", server.url());
    /// let text = ureq::post(url).send("{}")?.body_mut().read_to_string()?;
    /// assert_eq!(text, events.concat());
    /// # Ok(())
    /// # }
    /// ```
    pub fn pieces(mut self, pieces: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        let mut body = Body { bytes: Vec::new(), ends: Vec::new(), in_pieces: true };
        for piece in pieces {
            let piece = piece.into();
            if !piece.is_empty() {
                body.bytes.extend_from_slice(&piece);
                body.ends.push(body.bytes.len());
            }
        }
        self.body = Some(body);
        self
    }

    /// The content type told. Default: that of what is sent, `application/json` or, for a stream
    /// and for [`pieces`](Self::pieces), `text/event-stream`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Only for requests for this path, such as `/oauth/token`: those for others pass over it.
    /// The path is compared as it was sent, without its query; a query given here is ignored.
    /// Default: any path.
    ///
    /// A plan for several paths serves callers that run at the same time, in whatever order
    /// their requests arrive.
    pub fn at(mut self, path: impl Into<String>) -> Self {
        let mut path = path.into();
        path.truncate(path.find('?').unwrap_or(path.len()));
        self.path = Some(path);
        self
    }

    /// Spoils the answer.
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// For how many requests this is planned. Default: 1; zero plans nothing.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::ok()
    }
}

/// A body given word for word.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// Where its pieces end; empty if it is sent in one.
    pub(super) ends: Vec<usize>,
    pub(super) in_pieces: bool,
}

/// What goes wrong with an answer. The request has been read, counted and logged in every case.
///
/// "During" means after the head and half of the body, or half of a stream's pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Closes without having answered.
    CloseBeforeAnswer,
    /// Closes during the answer.
    CloseDuringAnswer,
    /// Answers in full, says `Connection: keep-alive`, and closes.
    CloseAfterAnswer,
    /// Answers with something that is not HTTP, and closes.
    GarbageStatusLine,
    /// Says a `Content-Length` that is 16 bytes too long, and closes after the body.
    LengthTooLong,
    /// Says a `Content-Length` of half the body, sends all of it, and goes on as if nothing
    /// were wrong.
    LengthTooShort,
    /// Resets the connection instead of answering.
    Reset,
    /// Resets the connection during the answer. What of the answer has not reached the client's
    /// system by then is lost.
    ResetDuringAnswer,
    /// Answers in full, says `Connection: keep-alive`, and resets the connection.
    ResetAfterAnswer,
    /// Sends the answer byte by byte, with the [`pause`](Reply::pause) between them.
    Drip,
    /// Never answers: until the client closes its end or the server stops.
    Stall,
    /// Stops half-way through the head: until the client closes its end or the server stops.
    StallDuringHead,
    /// Stops during the answer: until the client closes its end or the server stops.
    StallDuringAnswer,
    /// Answers in full and then no more, as a server that vanished without a word: the connection
    /// looks open, and stays so until the client closes its end or the server stops.
    StallAfterAnswer,
}
