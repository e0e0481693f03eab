//! Embedded servers, pools and groups over them, and the page that tells of both, all in the process
//! of the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use llm_pool::admin::{Admin, AdminConfig, AdminServer};
use llm_pool::balance::{BalanceConfig, Cooldown, Endpoint, RoundRobin};
use llm_pool::chat::ChatRequest;
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
use llm_pool::test_server::TestServer;
use llm_pool::websocket::{Side, WebSocketConfig, WebSockets};
use llm_pool::{EventLog, PoolConfig};

pub const TOKEN: &str = "a-token-for-the-page";

/// Of each key.
pub const MAX_SIZE: usize = 3;

/// Of the registry.
pub const MAX_SOCKETS: usize = 150;

/// Whose name would be an element, were it not taken for text.
pub const MODEL: &str = "<b>large</b>";

pub struct House {
    pub server: TestServer,
    pub groups: ModelGroups,
    pub sockets: WebSockets,
    /// The other ends of these.
    pub peers: WebSockets,
    events: EventLog,
}

impl House {
    pub fn new() -> Self {
        let events = EventLog::default();
        let server = TestServer::builder().delay(Duration::from_millis(200)).start().unwrap();
        let pool = PoolConfig::default().name("models").max_size(MAX_SIZE).observer(events.clone());
        let mut config = LlmConfig::default().pools(KeyedConfig::default().pool(pool));
        for name in ["rack", "paid"] {
            config = config.provider(name, Provider::new(format!("{}/v1", server.url())));
        }
        let balance = BalanceConfig::default().strategy(RoundRobin::default());
        let group = Group::default()
            .balance(balance.cooldown(Cooldown::default().rest_last(true)))
            .endpoint(Endpoint::new("paid", ModelKey::new("paid", MODEL)));
        let groups = ModelGroups::new(config.build().unwrap(), [("large", group)]).unwrap();
        let config = WebSocketConfig::default().max_connections(MAX_SOCKETS);
        let sockets = WebSockets::new(config.observer(events.clone())).unwrap();
        let peers = WebSockets::new(WebSocketConfig::default()).unwrap();
        Self { server, groups, sockets, peers, events }
    }

    /// Adds a socket, both of whose ends are here.
    pub fn talk(&self, id: &str) {
        let far = self.add(id);
        self.peers.add(id, self.peers.wrap(far, Side::Server).unwrap()).unwrap();
    }

    /// Adds a socket whose peer is gone.
    pub fn talk_and_hang_up(&self, id: &str) {
        drop(self.add(id));
    }

    /// The other end of a socket that is added.
    fn add(&self, id: &str) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        self.sockets.add(id, self.sockets.wrap(near, Side::Client).unwrap()).unwrap();
        listener.accept().unwrap().0
    }

    /// The key that the load is on.
    pub fn key() -> ModelKey {
        ModelKey::new("rack", MODEL)
    }

    pub fn serve(&self) -> AdminServer {
        self.serve_at(([127, 0, 0, 1], 0).into())
    }

    pub fn serve_at(&self, at: SocketAddr) -> AdminServer {
        self.admin_at(at).serve().unwrap()
    }

    /// With the registry of sockets as well.
    pub fn serve_with_sockets(&self) -> AdminServer {
        let admin = self.admin_at(([127, 0, 0, 1], 0).into());
        admin.sockets("talks", self.sockets.clone()).serve().unwrap()
    }

    fn admin_at(&self, at: SocketAddr) -> Admin {
        let admin = Admin::new(AdminConfig::default().listen(at).token(TOKEN)).unwrap();
        let admin = admin.pool("models", self.groups.pool().clone()).groups(self.groups.clone());
        admin.events(self.events.clone())
    }

    /// Asks the group, which has one endpoint; whether there was an answer in this time.
    pub fn ask_group(&self, within: Duration) -> bool {
        self.groups.chat("large", request().within(within)).is_ok()
    }

    /// Runs `watch` while twice as many threads ask as there can be items.
    pub fn under_load<R>(&self, watch: impl FnOnce() -> R) -> R {
        let stop = &Stop::default();
        thread::scope(|scope| {
            for _ in 0..2 * MAX_SIZE {
                scope.spawn(|| {
                    while !stop.is_set() {
                        self.groups.pool().chat(&Self::key(), request()).unwrap();
                    }
                });
            }
            // Also when the watch panics, or the threads would go on for ever.
            let _stop = StopAtEnd(stop);
            watch()
        })
    }
}

fn request() -> ChatRequest<'static> {
    ChatRequest::from("How is the weather?")
}

#[derive(Default)]
struct Stop(AtomicBool);

impl Stop {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct StopAtEnd<'a>(&'a Stop);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}
