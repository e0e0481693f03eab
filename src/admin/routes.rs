//! Which request gets which answer, and which gets none.

use subtle::ConstantTimeEq;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use ureq::http::{HeaderMap, Method, Request, Uri};

use super::Admin;
use super::answer::{self, Answer, JSON, refused};
#[cfg(feature = "websocket")]
use super::sockets;
use super::{actions, details, page, shown_config, wire};

#[derive(Clone, Copy)]
enum Route {
    Page,
    Stats,
    Status,
    Details,
    Advice,
    Config,
    CleanUp,
    Check,
    Resize,
    Metrics,
    Alive,
    #[cfg(feature = "websocket")]
    Sockets(sockets::Route),
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" | "/index.html" => Self::Page,
            "/v1/pool/stats" => Self::Stats,
            "/v1/pool/status" => Self::Status,
            "/v1/pool/details" => Self::Details,
            "/v1/pool/advice" => Self::Advice,
            "/v1/pool/config" => Self::Config,
            "/v1/pool/cleanup" => Self::CleanUp,
            "/v1/pool/health-check" => Self::Check,
            "/v1/pool/resize" => Self::Resize,
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Alive,
            #[cfg(feature = "websocket")]
            path => Self::Sockets(sockets::Route::of(path)?),
            #[cfg(not(feature = "websocket"))]
            _ => return None,
        })
    }

    fn is_post(self) -> bool {
        match self {
            Self::CleanUp | Self::Check | Self::Resize => true,
            #[cfg(feature = "websocket")]
            Self::Sockets(route) => route.is_post(),
            _ => false,
        }
    }

    /// Whether it does nothing without a body.
    fn needs_body(self) -> bool {
        match self {
            Self::Resize => true,
            #[cfg(feature = "websocket")]
            Self::Sockets(route) => route.needs_body(),
            _ => false,
        }
    }

    /// Whether it has no figures.
    fn is_for_all(self) -> bool {
        matches!(self, Self::Page | Self::Alive)
    }
}

pub(super) fn answer(admin: &Admin, request: &Request<Vec<u8>>) -> Answer {
    respond(admin, request).unwrap_or_else(|refusal| *refusal)
}

/// In a box, since an answer is large.
fn respond(admin: &Admin, request: &Request<Vec<u8>>) -> Result<Answer, Box<Answer>> {
    check_host(admin, request)?;
    let path = request.uri().path();
    let Some(route) = Route::of(path) else {
        return Err(refused(404, "there is nothing at this path").into());
    };
    let (method, is_post) = (request.method(), route.is_post());
    let right = if is_post { method == Method::POST } else { is_get(method) };
    if !right {
        return Err(answer::wrong_method(if is_post { "POST" } else { "GET, HEAD" }).into());
    }
    let body = request.body();
    let max_body = admin.config.max_body;
    if body.len() > max_body {
        return Err(refused(413, format_args!("a body may have {max_body} bytes")).into());
    }
    check_token(admin, route, request.headers())?;
    if is_post && (route.needs_body() || !body.is_empty()) {
        check_type(request.headers())?;
    }
    Ok(match route {
        Route::Page => page::page(),
        Route::Stats => wire::stats(admin),
        Route::Status => wire::status(admin),
        Route::Details => details::details(admin, since(request.uri())?),
        Route::Advice => details::advice(admin),
        Route::Config => shown_config::config(admin),
        Route::CleanUp => actions::clean_up(admin),
        Route::Check => actions::check(admin),
        Route::Resize => actions::resize(admin, body),
        Route::Metrics => metrics(admin),
        Route::Alive => alive(admin),
        #[cfg(feature = "websocket")]
        Route::Sockets(route) => route.answer(admin, request.uri(), body),
    })
}

fn is_get(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Both where the request says it is for: in its target and in its `Host`.
fn check_host(admin: &Admin, request: &Request<Vec<u8>>) -> Result<(), Box<Answer>> {
    let target = request.uri().authority().map(|it| it.as_str());
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().unwrap_or_default());
    if hosts.next().is_some() || (host.is_none() && target.is_none()) {
        return Err(refused(400, "a request needs one Host").into());
    }
    let expected = |host: &str| without_port(host).is_some_and(|host| admin.config.expects(host));
    if target.into_iter().chain(host).all(expected) {
        return Ok(());
    }
    let message = "not the server for this Host; see AdminConfig::hosts";
    Err(refused(421, message).into())
}

/// None for what is no host and port.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (host, rest) = host.split_at_checked(end)?;
    let port = if rest.is_empty() { rest } else { rest.strip_prefix(':')? };
    port.bytes().all(|byte| byte.is_ascii_digit()).then_some(host)
}

fn check_token(admin: &Admin, route: Route, headers: &HeaderMap) -> Result<(), Box<Answer>> {
    let config = &admin.config;
    let for_get = config.token_for_get || !config.is_local();
    if route.is_for_all() || (!route.is_post() && !for_get) {
        return Ok(());
    }
    let Some(token) = &config.token else {
        let message = "a POST needs a token, and none is set; see AdminConfig::token";
        return Err(refused(403, message).into());
    };
    let mut all = headers.get_all(AUTHORIZATION).iter();
    // With two of them, something in front may have looked at the other one.
    let (Some(sent), None) = (all.next(), all.next()) else {
        let message = "this needs one Authorization: Bearer and the token";
        return Err(answer::unauthorized(message).into());
    };
    let (scheme, sent) = sent.as_bytes().split_at_checked(7).unwrap_or_default();
    // In the same time however much of it is right; only the length shows.
    let right = bool::from(sent.trim_ascii().ct_eq(token.as_bytes()));
    if right && scheme.eq_ignore_ascii_case(b"bearer ") {
        Ok(())
    } else {
        Err(answer::unauthorized("not the token").into())
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Box<Answer>> {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let sent = sent.split(';').next().unwrap_or_default().trim();
    if sent.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    Err(refused(415, "the content-type must be application/json").into())
}

/// The `since` of a query, zero without.
fn since(uri: &Uri) -> Result<u64, Box<Answer>> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let given = pairs.filter_map(|pair| pair.strip_prefix("since=")).next();
    let since = given.map_or(Ok(0), str::parse);
    since.map_err(|_| refused(400, "since must be a whole number").into())
}

fn metrics(admin: &Admin) -> Answer {
    match &admin.metrics {
        Some(metrics) => {
            let body = metrics().into_bytes();
            answer::text(200, "text/plain; version=0.0.4; charset=utf-8", body)
        }
        None => refused(404, "there are no metrics; see Admin::metrics"),
    }
}

fn alive(admin: &Admin) -> Answer {
    #[derive(serde::Serialize)]
    struct Alive {
        pools: usize,
        /// Of pools and registries of sockets.
        closed: usize,
    }
    let pools = admin.pools.len();
    let closed = admin.pools.iter().filter(|(_, source)| source.is_closed()).count();
    #[cfg(feature = "websocket")]
    let sockets = admin.sockets.iter().filter(|it| it.sockets.is_closed()).count();
    #[cfg(not(feature = "websocket"))]
    let sockets = 0;
    let told = Alive { pools, closed: closed.saturating_add(sockets) };
    match (closed, sockets) {
        (0, 0) => answer::told(told, "well"),
        (closed, 0) => answer::told_as(503, told, format_args!("{closed} pools are closed")),
        (0, sockets) => {
            let message = format_args!("{sockets} registries of sockets are closed");
            answer::told_as(503, told, message)
        }
        (closed, sockets) => {
            let message =
                format_args!("{closed} pools and {sockets} registries of sockets are closed");
            answer::told_as(503, told, message)
        }
    }
}
