//! Through a proxy that joins two sockets, as CONNECT asks.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use llm_pool::Manage;
use llm_pool::agent::{AgentManager, Proxy};

use crate::support::*;
use crate::tls::TlsServer;

/// The heads it was asked with, in order.
type Seen = Arc<Mutex<Vec<String>>>;

fn proxy() -> (Server, Seen) {
    let seen = Seen::default();
    let heads = seen.clone();
    let server = Server::accept(move |mut client| {
        let Some(head) = read_request(&mut client)? else { return Ok(()) };
        let target = head.split(' ').nth(1).unwrap().to_owned();
        heads.lock().unwrap().push(head);
        let mut server = TcpStream::connect(target)?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        let (mut back, mut to_client) = (server.try_clone()?, client.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut back, &mut to_client);
            to_client.shutdown(Shutdown::Both)
        });
        io::copy(&mut client, &mut server)?;
        server.shutdown(Shutdown::Both)
    });
    (server, seen)
}

#[test]
fn http_and_https_go_through_the_proxy_with_its_credentials() {
    let (proxy, seen) = proxy();
    let plain = Server::start(|_, to| ok(to, "plain"));
    let tls = TlsServer::start();
    let url = format!("http://user:pass%20word@{}", proxy.addr);
    let agent = agent(tls.trusted().proxy(Proxy::Url(url)));

    assert_eq!(get(&agent, &plain.url("/")).unwrap(), "plain");
    assert_eq!(get(&agent, &plain.url("/")).unwrap(), "plain");
    assert_eq!(get(&agent, &tls.url()).unwrap(), "hello");

    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with(&format!("CONNECT {} ", plain.addr)), "{}", seen[0]);
    assert!(seen[1].starts_with("CONNECT localhost:"), "{}", seen[1]);
    // user:pass word
    assert_eq!(header(&seen[0], "proxy-authorization"), Some("Basic dXNlcjpwYXNzIHdvcmQ="));
    let own = concat!("llm-pool/", env!("CARGO_PKG_VERSION"));
    assert_eq!(header(&seen[0], "user-agent"), Some(own));
    assert_eq!((seen.len(), plain.connections()), (2, 1));
}

#[test]
fn the_way_to_the_proxy_is_part_of_one_connection() {
    let (proxy, _seen) = proxy();
    let plain = Server::start(|_, to| ok(to, "plain"));
    let manager = AgentManager::new(config().proxy(Proxy::Url(proxy.url("")))).unwrap();
    let agent = manager.create().unwrap().into_agent();
    (0..3).for_each(|_| assert_eq!(get(&agent, &plain.url("/")).unwrap(), "plain"));
    let counted = manager.requests();
    assert_eq!((counted.requests, counted.connections), (3, 1));
}

#[test]
fn a_server_may_think_behind_a_proxy_too() {
    let (proxy, _seen) = proxy();
    let server = Server::start(|_, to| {
        pause(300);
        ok(to, "hello")
    });
    let config = config().read_timeout(std::time::Duration::from_millis(100));
    let agent = agent(config.proxy(Proxy::Url(proxy.url(""))));
    assert_eq!(get(&agent, &server.url("/")).unwrap(), "hello");
}

#[test]
fn a_proxy_that_talks_without_end_is_given_up() {
    let proxy = Server::accept(|mut client| {
        client.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
        loop {
            client.write_all(&[b'x'; 1024])?;
        }
    });
    let agent = agent(config().proxy(Proxy::Url(proxy.url(""))));
    let error = get(&agent, "http://127.0.0.1:9/").unwrap_err();
    assert!(matches!(error, ureq::Error::ConnectProxyFailed(_)), "{error}");
}

#[test]
fn a_socks_proxy_that_ureq_cannot_speak_to_is_an_error_and_no_panic() {
    let server = Server::start(|_, to| ok(to, ""));
    let agent = agent(config());
    let socks = ureq::Proxy::new("socks5://127.0.0.1:9").unwrap();
    let request = agent.get(server.url("/")).config().proxy(Some(socks)).build();
    let error = request.call().unwrap_err().to_string();
    assert!(error.contains("socks-proxy"), "{error}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_tunnel_whose_server_has_closed_is_not_used_again() {
    let (proxy, seen) = proxy();
    let server = Server::accept(|mut stream| {
        read_request(&mut stream)?;
        ok(&mut stream, "once")
    });
    let agent = agent(config().proxy(Proxy::Url(format!("http://{}", proxy.addr))));
    for tunnels in 1..=3 {
        assert_eq!(get(&agent, &server.url("/")).unwrap(), "once");
        proxy.closed_after();
        assert_eq!(seen.lock().unwrap().len(), tunnels);
    }
}
