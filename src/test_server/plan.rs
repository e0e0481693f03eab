//! Which reply a request gets: the plan, and what stands when it has none for the request.

use std::collections::VecDeque;
use std::sync::Arc;

use super::reply::Reply;

/// The replies planned and the standing ones.
pub(super) struct Plan {
    /// Front first; each with how often it is still to be used, which is never zero.
    queue: VecDeque<(Arc<Reply>, usize)>,
    /// For requests that the queue has nothing for.
    standing: Arc<Reply>,
    /// The same for single paths, one each. A list: there are few, if any.
    at: Vec<Arc<Reply>>,
}

impl Plan {
    pub(super) fn new(standing: Reply) -> Self {
        let mut plan =
            Self { queue: VecDeque::new(), standing: Arc::new(Reply::ok()), at: Vec::new() };
        plan.stand(standing);
        plan
    }

    /// Makes `reply` the standing one, of its path if it has one.
    pub(super) fn stand(&mut self, reply: Reply) {
        let reply = Arc::new(reply);
        if reply.path.is_none() {
            self.standing = reply;
        } else {
            self.at.retain(|it| it.path != reply.path);
            self.at.push(reply);
        }
    }

    pub(super) fn push(&mut self, reply: Reply) {
        let times = reply.times;
        if times > 0 {
            self.queue.push_back((Arc::new(reply), times));
        }
    }

    /// Forgets the queue, not what stands.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// How many requests the queue is for.
    pub(super) fn len(&self) -> usize {
        self.queue.iter().fold(0, |sum, (_, times)| sum.saturating_add(*times))
    }

    /// Takes the reply for a request for `path`.
    pub(super) fn next(&mut self, path: &str) -> Arc<Reply> {
        let Some(index) = self.queue.iter().position(|(reply, _)| fits(reply, path)) else {
            let own = self.at.iter().find(|reply| fits(reply, path));
            return own.unwrap_or(&self.standing).clone();
        };
        let (reply, times) = &mut self.queue[index];
        *times -= 1;
        let (reply, used_up) = (reply.clone(), *times == 0);
        if used_up {
            self.queue.remove(index);
        }
        reply
    }
}

fn fits(reply: &Reply, path: &str) -> bool {
    reply.path.as_deref().is_none_or(|it| it == path)
}
