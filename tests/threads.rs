//! The library's own threads end when nobody needs them. Alone in its binary: any other pool
//! would keep them alive.
#![cfg(target_os = "linux")]

mod support;

use support::*;

/// Whether this process has a thread of that name; the kernel keeps 15 bytes of it.
fn runs(name: &str) -> bool {
    let cut = &name[..name.len().min(15)];
    std::fs::read_dir("/proc/self/task").expect("a list of threads").flatten().any(|task| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == cut)
    })
}

#[test]
fn the_threads_of_the_library_end_after_the_last_pool() {
    let script = Script::new();
    for round in 0..2 {
        let pools = [start(config("one", 2), &script), start(config("two", 2), &script)];
        let lease = pools[0].get().unwrap();
        eventually(|| runs("llm-pool-maintenance"));
        eventually(|| {
            drop(pools[1].get().unwrap());
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
