//! Agents by base URL: URLs of one origin share a pool, the least recently used origin goes when
//! there are too many, and one such pool can be process-wide.
//!
//! ```sh
//! cargo run --release --example by_url
//! ```

use std::error::Error;

use llm_pool::PoolConfig;
use llm_pool::agent::{AgentConfig, OriginPool};
use llm_pool::keyed::{KeyedConfig, Origin};
use llm_pool::test_server::TestServer;
use ureq::http::StatusCode;

fn main() -> Result<(), Box<dyn Error>> {
    let servers = [TestServer::start()?, TestServer::start()?, TestServer::start()?];
    let [one, two, three] = servers.each_ref().map(TestServer::url);
    let common = PoolConfig::default().name("by url").min_idle(1);
    let config = KeyedConfig::default().pool(common).max_pools(2).max_per_host(60);
    let pool = OriginPool::new(config, AgentConfig::default())?;

    println!("Path, query, a slash at the end and case make no difference:");
    let shouted = one.replace("http", "HTTP");
    for url in [format!("{one}/v1/models"), format!("{one}/?page=2"), shouted] {
        let agent = pool.get(&url)?;
        let status = status(&agent, &url)?;
        println!("  {url:40} {status}; pools made: {}", pool.pools().stats().pools_made);
    } // the agent is put back here, with its open connection

    println!("\nAt most 2 origins, so a third one has the least recently used go:");
    for url in [two, one, three] {
        drop(pool.get(url)?);
        println!("  asked for {url}, there are {}", list(&pool));
    }

    println!("\nA key that was closed is made anew when it is next asked for:");
    let origin = Origin::parse(three)?;
    if pool.pools().close_key(&origin) {
        println!("  closed {origin}, there is {}", list(&pool));
    }
    drop(pool.get(three)?);
    println!("  asked for it again, there are {}", list(&pool));
    let stats = pool.pools().stats();
    println!("  pools made {}, evicted {}", stats.pools_made, stats.pools_evicted);

    println!("\nThe pool can be had everywhere in the process:");
    OriginPool::set_global(pool)?;
    let global = OriginPool::global()?;
    let models = format!("{one}/v1/models");
    let status_by_lease = status(&*global.get(one)?, &models)?;
    println!("  a lease:  {status_by_lease}, gets {}", global.pools().stats().sum.gets);
    let own = global.bypass();
    let status = status(&own, &models)?;
    println!("  a bypass: {status}, gets {} still", global.pools().stats().sum.gets);

    println!("\nA URL that cannot be called is refused with the reason:");
    for url in ["", "api.example.com/v1", "ftp://api.example.com", "https://:443", "http://h:99999"]
    {
        if let Err(refused) = global.get(url) {
            println!("  {refused}");
        }
    }

    println!("\n{}", global.pools().stats());
    OriginPool::close_global(); // leases out would end as they come home
    Ok(())
}

fn list(pool: &OriginPool) -> String {
    let keys = pool.pools().keys();
    keys.iter().map(Origin::as_str).collect::<Vec<_>>().join(" and ")
}

/// Reads the whole answer, so that the connection serves the next request too.
fn status(agent: &ureq::Agent, url: &str) -> Result<StatusCode, Box<dyn Error>> {
    let answer = agent.get(url).call()?;
    let status = answer.status();
    answer.into_body().read_to_vec()?;
    Ok(status)
}
