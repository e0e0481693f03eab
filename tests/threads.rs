//! The library's own threads end when nobody needs them. Alone in its binary: any other pool
//! would keep them alive.
#![cfg(target_os = "linux")]

mod support;

use std::sync::Mutex;

use llm_pool::agent::{AgentConfig, AgentManager, Check, OriginPool, Proxy};
use llm_pool::keyed::KeyedConfig;
use llm_pool::test_server::TestServer;
use llm_pool::{Pool, PoolConfig};
use support::*;

/// One test at a time, for the same reason.
static ALONE: Mutex<()> = Mutex::new(());

/// Whether this process has a thread of that name; the kernel keeps 15 bytes of it.
fn runs(name: &str) -> bool {
    let cut = &name[..name.len().min(15)];
    std::fs::read_dir("/proc/self/task").expect("a list of threads").flatten().any(|task| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == cut)
    })
}

#[test]
fn the_threads_of_the_library_end_after_the_last_pool() {
    let _alone = ALONE.lock().unwrap();
    let script = Script::new();
    for round in 0..2 {
        let pools = [start(config("one", 2), &script), start(config("two", 2), &script)];
        let lease = pools[0].get().unwrap();
        eventually(|| runs("llm-pool-maintenance"));
        assert!(!runs("llm-pool-ticker"), "round {round}: it would not pay");
        eventually(|| {
            (0..10_000).for_each(|_| drop(pools[1].get().unwrap()));
            runs("llm-pool-ticker")
        });
        eventually(|| !runs("llm-pool-worker"));

        let [first, second] = pools;
        drop(first);
        drop(second.get().unwrap());
        assert!(runs("llm-pool-maintenance"), "round {round}: one pool is left");
        second.close();
        eventually(|| !runs("llm-pool-maintenance"));
        // A lease that is out, and a closed pool that is not dropped, need no threads.
        eventually(|| !runs("llm-pool-ticker"));
        drop(lease);
    }
}

/// Also those that make agents, check them and look names up.
#[test]
fn pools_of_agents_leave_no_thread_behind() {
    let _alone = ALONE.lock().unwrap();
    let server = TestServer::builder().host("localhost").start().unwrap();
    let config = AgentConfig::default().proxy(Proxy::Direct);
    let each = PoolConfig::default().min_idle(2).check_interval(millis(5));
    let each = each.maintenance_interval(millis(2));
    let url = server.url();

    let manager = AgentManager::new(config.clone()).unwrap();
    let manager = manager.checking(Check::models(&format!("{url}/v1"))).unwrap();
    let one = Pool::new(each.clone(), manager).unwrap();
    let keyed = OriginPool::new(KeyedConfig::default().pool(each), config).unwrap();
    for agent in [one.get().unwrap(), keyed.get(url).unwrap()] {
        assert_eq!(agent.get(format!("{url}/v1/models")).call().unwrap().status(), 200);
    }
    eventually(|| one.stats().checks > 2);
    assert!(runs("llm-pool-maintenance"));
    drop((one, keyed));
    let all = ["maintenance", "ticker", "worker", "checker", "dns"];
    eventually(|| !all.iter().any(|name| runs(&format!("llm-pool-{name}"))));
}
