//! Which jobs a message is for.

use super::lane::Lane;
use crate::source::RawMessage;

/// Where the messages of a topic go.
#[derive(Clone, Copy)]
pub enum Route {
    Lane(usize),
    /// of several jobs; each takes what is its own
    Shared(usize),
    Heartbeat,
}

/// Topic handle → route; a handful of entries, looked through from the start.
#[derive(Default)]
pub struct Routes {
    by_handle: Vec<(usize, Route)>,
    pub shared: Vec<Vec<usize>>,
}

impl Routes {
    pub fn of(&mut self, message: &RawMessage<'_>, lanes: &[Lane]) -> Route {
        let handle = message.topic_handle();
        let known = self.by_handle.iter().find(|(known, _)| *known == handle);
        if let Some((_, route)) = known {
            return *route;
        }
        let name = message.topic().to_string_lossy();
        let is_its = |(at, lane): (usize, &Lane)| (lane.target.job.topic == name).then_some(at);
        let its: Vec<usize> = lanes.iter().enumerate().filter_map(is_its).collect();
        let route = match its.as_slice() {
            [] => Route::Heartbeat,
            [lane] => Route::Lane(*lane),
            _ => {
                self.shared.push(its);
                Route::Shared(self.shared.len() - 1)
            }
        };
        self.by_handle.push((handle, route));
        route
    }
}
