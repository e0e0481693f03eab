//! Why a request is refused, as OpenAI would tell it.

/// A refusal before it is written down.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) message: String,
    /// The part of the request that is wrong.
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

impl Refusal {
    /// A 400.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::of_status(400, message)
    }

    /// A refusal with what usually goes with its status.
    pub(super) fn of_status(status: u16, message: impl Into<String>) -> Self {
        let (kind, code) = match status {
            401 => ("authentication_error", Some("invalid_api_key")),
            403 => ("permission_error", None),
            429 => ("rate_limit_error", Some("rate_limit_exceeded")),
            500.. => ("server_error", None),
            _ => ("invalid_request_error", None),
        };
        Self { status, kind, message: message.into(), param: None, code }
    }

    /// A 404 for a model that is not served.
    pub(super) fn no_model(model: &str) -> Self {
        Self::of_status(404, format!("The model `{model}` does not exist"))
            .param("model")
            .code("model_not_found")
    }

    /// A 400 for a parameter that is not there.
    pub(super) fn missing(param: impl Into<String>) -> Self {
        let param = param.into();
        Self::bad(format!("Missing required parameter: '{param}'."))
            .param(param)
            .code("missing_required_parameter")
    }

    /// A 400 for a parameter that is not as `expected`.
    pub(super) fn invalid(param: impl Into<String>, expected: &str) -> Self {
        let param = param.into();
        Self::bad(format!("Invalid value for '{param}': expected {expected}."))
            .param(param)
            .code("invalid_value")
    }

    pub(super) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }
}
