//! 1C:Naparnik, the assistant of 1C for programmers: the settings, from which a provider is made.

mod speech;
#[cfg(test)]
mod tests;
mod thoughts;
mod transcript;

use std::fmt;

use speech::Speech;

use crate::llm::Provider;

/// 1C:Naparnik at `code.1c.ai`, made into a [`Provider`].
///
/// **Experimental.** This API is documented by nobody: what is known of it is what others found out
/// by using it. It may change or end any day, and on what terms other programs than 1C's own may use
/// it is not known.
///
/// A call is a conversation of its own: one request opens it, one asks. There is one text to ask
/// with, so:
///
/// - A single user message is sent as it is; system messages go before it, with an empty line
///   between two.
/// - Where there are earlier messages, they are told in between: `The conversation so far:`, each
///   message after `User:` or `Assistant:`, or its name, and `Answer this message:`. What the
///   assistant thought is left out. The last message must be the user's.
/// - Nothing else can be said: temperature, top_p, limits, stop texts, seeds, formats, tools and
///   their results are refused before anything is sent.
/// - Models cannot be chosen. A [`ModelKey`](crate::keyed::ModelKey) may name any; the name is not
///   sent.
///
/// The service has tools of its own, which are for 1C's programs. Its calls of them are declined
/// until it answers without, at most 25 requests a call. An answer without text is
/// [`ErrorKind::CutShort`](crate::chat::ErrorKind::CutShort).
///
/// What stands between `<think>` or `<thinking>` and its end is given as reasoning. An end of the
/// text that may be the beginning of such a tag is held back until it is known. The whole text comes
/// once more at the end and counts; a stream brings
/// [`Piece::Rewrite`](crate::chat::Piece::Rewrite) if it is another one, and also where the service
/// answers again, after a tool or of its own accord: the last answer counts.
///
/// Clients are not checked, for want of something to ask.
#[derive(Clone)]
pub struct Naparnik {
    token: String,
    programming_language: String,
}

impl Naparnik {
    /// With a token from `code.1c.ai/tokens`. One that is not visible ASCII is refused when the pool
    /// is built.
    #[must_use]
    pub fn new(token: impl fmt::Display) -> Self {
        Self { token: token.to_string(), programming_language: String::new() }
    }

    /// What answers are about, as the service calls it. Default empty, which leaves it to the
    /// service.
    #[must_use]
    pub fn programming_language(mut self, language: impl Into<String>) -> Self {
        self.programming_language = language.into();
        self
    }
}

impl From<Naparnik> for Provider {
    fn from(naparnik: Naparnik) -> Self {
        let Naparnik { token, programming_language } = naparnik;
        Self::new("https://code.1c.ai/chat_api/v1")
            // Bare: no scheme before it.
            .header("authorization", token)
            .dialect(Speech { programming_language })
    }
}

impl fmt::Debug for Naparnik {
    /// Not the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Naparnik")
            .field("programming_language", &self.programming_language)
            .finish_non_exhaustive()
    }
}
