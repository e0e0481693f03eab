//! Asking the model of a client, or of a pool.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::client::Llm;
use super::stream::ChatStream;
use super::{LlmLease, LlmPool};
use crate::chat::{
    Began, ChatError, ChatReply, ChatRequest, Embeddings, Line, Model, Reading, Request,
};
use crate::keyed::ModelKey;

/// A call with a client keeps the client for all of its tries, the pauses between them included;
/// with [`LlmPool::chat`] and its like, the client is given back meanwhile. Both keep to the deadline
/// of a lease of [`get_within`](crate::keyed::KeyedPool::get_within).
impl Llm {
    /// Asks the model and waits for its whole answer.
    ///
    /// ```
    /// use llm_pool::chat::Message;
    /// # use llm_pool::keyed::ModelKey;
    /// # use llm_pool::llm::{LlmConfig, Provider};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = llm_pool::test_server::TestServer::start()?;
    /// # let provider = Provider::new(format!("{}/v1", server.url()));
    /// # let pool = LlmConfig::default().provider("example", provider).build()?;
    /// let llm = pool.get(&ModelKey::new("example", "small").temperature(0.2))?;
    /// let reply = llm.chat(&[Message::system("Be brief."), Message::user("Why pool connections?")])?;
    /// println!("{} ({} tokens)", reply.text(), reply.usage().total());
    /// # assert_eq!(reply.text(), "You said: Why pool connections?");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What cannot be asked, before anything is sent; and why there was no answer, once the tries
    /// are over.
    pub fn chat<'a>(&self, request: impl Into<ChatRequest<'a>>) -> Result<ChatReply, ChatError> {
        let request = request.into();
        self.trying(request.within, |began| {
            let reading = Reading::start(self.line(), Request::Borrowed(&request), false, began)?;
            Ok(reading.into_reply())
        })
    }

    /// Asks the model and returns once its answer begins. Another call with the same client before
    /// the stream is at its end or dropped would open a second connection, which no limit counts.
    ///
    /// ```
    /// # use llm_pool::chat::Message;
    /// # use llm_pool::keyed::ModelKey;
    /// # use llm_pool::llm::{LlmConfig, Provider};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = llm_pool::test_server::TestServer::start()?;
    /// # let provider = Provider::new(format!("{}/v1", server.url()));
    /// # let pool = LlmConfig::default().provider("example", provider).build()?;
    /// # let llm = pool.get(&ModelKey::new("example", "small"))?;
    /// for piece in llm.stream(&[Message::user("Count to ten.")])? {
    ///     print!("{}", piece?.text());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`chat`](Self::chat), until the answer begins. Later ones come from the stream, and
    /// nothing is tried again then.
    pub fn stream<'a>(
        &self,
        request: impl Into<ChatRequest<'a>>,
    ) -> Result<ChatStream<&Self>, ChatError> {
        let request = Arc::new(request.into().into_owned());
        self.trying(request.within, |began| {
            let request = Request::Shared(request.clone());
            Ok(ChatStream::new(self, Reading::start(self.line(), request, true, began)?))
        })
    }

    /// Texts as vectors, by the client's model.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), and that the provider's dialect has no embeddings.
    pub fn embed<T: AsRef<str>>(&self, texts: &[T]) -> Result<Embeddings, ChatError> {
        let texts: Vec<_> = texts.iter().map(T::as_ref).collect();
        self.trying(None, |began| self.line().embed(&texts, began))
    }

    /// The models that the provider lists.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), and that the provider's dialect has no list.
    pub fn models(&self) -> Result<Vec<Model>, ChatError> {
        self.trying(None, |began| self.line().models(began))
    }

    pub(super) fn trying<T>(
        &self,
        within: Option<Duration>,
        mut call: impl FnMut(Began) -> Result<T, ChatError>,
    ) -> Result<T, ChatError> {
        let mut began = Began { waited: self.take_waited(), ..Began::now(within) };
        began.until = self.line().given_until(began.until);
        loop {
            match call(began) {
                Ok(done) => return Ok(done),
                // If it is stopped meanwhile, the next try says so.
                Err(error) => {
                    began.pause(self.key(), error, |pause| self.pause(pause))?;
                }
            }
        }
    }

    pub(super) fn line(&self) -> Line<'_> {
        Line {
            agent: self,
            key: self.key(),
            base: &self.place.base,
            headers: &self.place.headers,
            service: &self.place.service,
        }
    }
}

/// Calls that take a client, ask its model and give the client back.
impl LlmPool {
    /// Asks the model of `key` and waits for its whole answer. The client is given back before each
    /// pause between two tries, and taken anew.
    ///
    /// Waits for a client as [`get`](Self::get) does or, if the request says
    /// [`within`](ChatRequest#structfield.within), up to that, which then covers everything.
    ///
    /// # Errors
    /// As [`Llm::chat`], and [`ErrorKind::NoLease`](crate::chat::ErrorKind::NoLease).
    #[track_caller]
    pub fn chat<'a>(
        &self,
        key: &ModelKey,
        request: impl Into<ChatRequest<'a>>,
    ) -> Result<ChatReply, ChatError> {
        let request = request.into();
        self.trying(key, request.within, |llm, began| {
            let reading = Reading::start(llm.line(), Request::Borrowed(&request), false, began)?;
            Ok(reading.into_reply())
        })
    }

    /// Asks the model of `key` and returns once its answer begins. The stream holds the client
    /// until it is at its end, has failed or is dropped; it can be sent to another thread.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), until the answer begins.
    #[track_caller]
    pub fn stream<'a>(
        &self,
        key: &ModelKey,
        request: impl Into<ChatRequest<'a>>,
    ) -> Result<ChatStream<LlmLease>, ChatError> {
        let request = Arc::new(request.into().into_owned());
        self.trying(key, request.within, |llm, began| {
            let request = Request::Shared(request.clone());
            let reading = Reading::start(llm.line(), request, true, began)?;
            Ok(ChatStream::new(llm, reading))
        })
    }

    /// Texts as vectors, by the model of `key`.
    ///
    /// # Errors
    /// As [`Llm::embed`], and [`ErrorKind::NoLease`](crate::chat::ErrorKind::NoLease).
    #[track_caller]
    pub fn embed<T: AsRef<str>>(
        &self,
        key: &ModelKey,
        texts: &[T],
    ) -> Result<Embeddings, ChatError> {
        let texts: Vec<_> = texts.iter().map(T::as_ref).collect();
        self.trying(key, None, |llm, began| llm.line().embed(&texts, began))
    }

    /// The models that the provider of `key` lists; the key's model does not matter, but its pool
    /// gives the client.
    ///
    /// # Errors
    /// As [`Llm::models`], and [`ErrorKind::NoLease`](crate::chat::ErrorKind::NoLease).
    #[track_caller]
    pub fn models(&self, key: &ModelKey) -> Result<Vec<Model>, ChatError> {
        self.trying(key, None, |llm, began| llm.line().models(began))
    }

    /// A lease for each try, given back before the pause.
    #[track_caller]
    fn trying<T>(
        &self,
        key: &ModelKey,
        within: Option<Duration>,
        mut call: impl FnMut(LlmLease, Began) -> Result<T, ChatError>,
    ) -> Result<T, ChatError> {
        let mut began = Began::now(within);
        let mut failed: Option<ChatError> = None;
        loop {
            let llm = match (self.client(key, &mut began), failed.take()) {
                (Ok(llm), _) => llm,
                (Err(error), None) => return Err(error),
                // What the call itself met says more.
                (Err(error), Some(failed)) => {
                    let more = format_args!(
                        "and for another try there was no client: {}",
                        error.message()
                    );
                    return Err(failed.with_more(more));
                }
            };
            match call(llm, began) {
                Ok(done) => return Ok(done),
                Err(error) => {
                    let pause = |pause| self.pause(pause);
                    failed = Some(began.pause(key, error, pause)?);
                }
            }
        }
    }

    /// A client for one try.
    #[track_caller]
    pub(super) fn client(&self, key: &ModelKey, began: &mut Began) -> Result<LlmLease, ChatError> {
        let llm = match began.until {
            Some(at) => self.get_within(key, at.saturating_duration_since(Instant::now())),
            None => self.get(key),
        };
        let llm = llm.map_err(|error| ChatError::from(error).of_model(key))?;
        began.waited = began.waited.saturating_add(llm.take_waited());
        Ok(llm)
    }

    /// Sleeps for `pause`, or until the pool is closed, which is looked for now and then.
    pub(super) fn pause(&self, pause: Duration) {
        const NAP: Duration = Duration::from_millis(50);
        let began = Instant::now();
        while !self.is_closed() {
            let left = pause.saturating_sub(began.elapsed());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(NAP));
        }
    }
}
