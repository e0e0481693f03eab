//! What can go wrong with a call, and what to do about it.

use std::fmt;

/// What went wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be what was meant, or the provider has no word for it. Nothing was sent.
    Invalid,
    /// The pool gave no client; the [source](std::error::Error::source) is its [`GetError`](crate::GetError).
    NoLease,
    /// No connection could be had: name, network, TLS or proxy. Nothing was sent; of
    /// several tries, by the last one.
    Unreachable,
    /// The connection broke before the answer was whole, or what came is no HTTP.
    Broken,
    /// A time limit of the call passed first.
    TimedOut,
    /// A [`Stopper`](crate::agent::Stopper) ended it.
    Stopped,
    /// The key or the token is not accepted, or not for this. Status 401, and most 403.
    Unauthorized,
    /// The account has nothing left, which waiting does not mend. Status 402, and some 429.
    Quota,
    /// Too much was asked at a time. Status 429.
    RateLimited,
    /// There is no such model, or nothing at this URL. Status 404.
    NotFound,
    /// The conversation is too long for the model or for the server. Some 400, and 413.
    TooLong,
    /// The provider does not want to answer this. Some 400.
    ContentRefused,
    /// The server finds the request wrong. Status 400, 422 and other 4xx.
    BadRequest,
    /// The server is in trouble or overloaded. Status 5xx, 408 and 409.
    Server,
    /// A stream brought nothing new for too long.
    Stalled,
    /// An answer ended before its end.
    CutShort,
    /// An answer is larger than the limit.
    TooLarge,
    /// What came is not what the dialect knows.
    Malformed,
}

impl ErrorKind {
    /// Whether the same request may well succeed later.
    pub(super) fn is_retryable(self) -> bool {
        match self {
            Self::NoLease
            | Self::Unreachable
            | Self::Broken
            | Self::RateLimited
            | Self::Server
            | Self::Stalled
            | Self::CutShort => true,
            Self::Invalid
            | Self::TimedOut
            | Self::Stopped
            | Self::Unauthorized
            | Self::Quota
            | Self::NotFound
            | Self::TooLong
            | Self::ContentRefused
            | Self::BadRequest
            | Self::TooLarge
            | Self::Malformed => false,
        }
    }

    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Invalid => "cannot be asked",
            Self::NoLease => "no client",
            Self::Unreachable => "no connection",
            Self::Broken => "the connection broke",
            Self::TimedOut => "timed out",
            Self::Stopped => "stopped",
            Self::Unauthorized => "not let in",
            Self::Quota => "nothing left on the account",
            Self::RateLimited => "too much at a time",
            Self::NotFound => "not found",
            Self::TooLong => "too long",
            Self::ContentRefused => "content refused",
            Self::BadRequest => "request refused",
            Self::Server => "the server failed",
            Self::Stalled => "the stream stalled",
            Self::CutShort => "the answer was cut short",
            Self::TooLarge => "the answer is too large",
            Self::Malformed => "the answer is not understood",
        }
    }

    /// What to do about it, where that is not plain.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Unauthorized => "; see whether key and URL are the right ones",
            Self::Quota => "; waiting does not help",
            Self::RateLimited => "; try later, or lower max_per_host",
            Self::NotFound => "; see whether model and URL are the right ones",
            Self::TooLong => "; shorten the conversation",
            Self::TimedOut => "; give it more time",
            Self::Stalled => "; raise piece_timeout if the model is slow",
            Self::TooLarge => "; raise max_answer, or lower max_tokens",
            _ => "",
        }
    }
}

/// As an error says it, such as `timed out`.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}
