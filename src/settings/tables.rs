//! The tables of the file: the structs that code uses, field by field.

use crate::agent::AgentConfig;
use crate::balance::{Adaptive, BalanceConfig, Cooldown, Limits};
use crate::chat::{ChatConfig, ErrorKind, Scope};
use crate::keyed::KeyedConfig;
use crate::llm::Group;
use crate::pool::{PoolConfig, WhenUnhealthy};
#[cfg(feature = "websocket")]
use crate::websocket::{Reconnect, WebSocketConfig, WhenFull};

use super::Settings;
use super::form::{names, table};

table! {
    Settings {
        pools,
        agents,
        chat,
        providers,
        groups,
        admin,
        websocket,
    }
}

table! {
    KeyedConfig {
        pool,
        max_pools,
        max_total or "none",
        max_per_host or "none",
        max_open or "none",
    }
}

table! {
    PoolConfig {
        name,
        max_size,
        min_idle or "auto",
        wait_timeout,
        idle_timeout or "none",
        max_lifetime or "none",
        max_uses or "none",
        max_waiting or "none",
        admission,
        max_creating,
        check_interval or "none",
        check_timeout,
        max_check_failures,
        when_unhealthy or "auto",
        maintenance_interval,
        leak_after or "none",
        slow_wait or "none",
        nearly_full or "none",
        fail_fast,
    }
    without { clock, observer }
}

table! {
    AgentConfig {
        connect_timeout or "none",
        first_byte_timeout or "none",
        read_timeout or "none",
        total_timeout or "none",
        check_timeout,
        keep_alive,
        dns_ttl,
        buffer_size,
        user_agent,
        proxy,
        root_certs,
        https_only,
    }
}

table! {
    ChatConfig {
        total_timeout or "none",
        piece_timeout or "none",
        max_answer,
        max_retries,
        first_pause,
        max_pause,
        retry_stale,
    }
}

table! {
    Group {
        endpoints,
        balance,
        fallbacks,
        fallbacks_for,
        retry_share,
        wait_timeout,
        fallback_after,
    }
}

table! {
    BalanceConfig {
        name,
        strategy,
        cooldown,
        decay,
        seed or "none",
    }
    without { clock, observer }
}

table! {
    Cooldown {
        failure_ratio,
        min_sample,
        failures_in_a_row,
        window,
        base_rest,
        max_rest,
        reset_after,
        jitter,
        max_resting or "auto",
        rest_last or "auto",
    }
}

table! {
    Limits {
        max_in_use or "auto",
        adaptive or "none",
        requests_per_minute or "none",
        tokens_per_minute or "none",
        learns,
    }
}

table! {
    Adaptive {
        floor,
        start or "auto",
        backoff,
        tolerance,
    }
}

#[cfg(feature = "websocket")]
table! {
    WebSocketConfig {
        name,
        max_connections,
        when_full,
        replace,
        wait_timeout,
        connect_timeout,
        write_timeout,
        close_timeout,
        check_interval or "none",
        ping_timeout,
        idle_timeout or "none",
        read_interval,
        max_message_size,
        max_frame_size,
        write_buffer_size,
        read_buffer_size,
        max_kept,
        max_pings,
        reconnect or "none",
    }
    without { clock, observer }
}

#[cfg(feature = "websocket")]
table! {
    Reconnect {
        first_pause,
        max_pause,
        jitter,
        max_tries or "none",
    }
}

names! {
    WhenUnhealthy {
        Replace = "replace",
        Fail = "fail",
        Wait = "wait",
    }
}

#[cfg(feature = "websocket")]
names! {
    WhenFull {
        Refuse = "refuse",
        EvictIdle = "evict_idle",
    }
}

names! {
    Scope {
        Personal = "personal",
        Business = "business",
        Corporate = "corporate",
    }
}

names! {
    ErrorKind {
        Invalid = "invalid",
        NoLease = "no_lease",
        Unreachable = "unreachable",
        Broken = "broken",
        TimedOut = "timed_out",
        Stopped = "stopped",
        Unauthorized = "unauthorized",
        Quota = "quota",
        RateLimited = "rate_limited",
        NotFound = "not_found",
        TooLong = "too_long",
        ContentRefused = "content_refused",
        BadRequest = "bad_request",
        Server = "server",
        Stalled = "stalled",
        CutShort = "cut_short",
        TooLarge = "too_large",
        Malformed = "malformed",
    }
}
