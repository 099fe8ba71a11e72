//! What a member of the classic protocol holds, and until when at most, as long as it is answered.

use crate::check::{Grouped, Seen};
use crate::client::Cx;

pub struct Claims {
    group: &'static str,
    /// In whose name: a member, or the instance of a static one, whose member ids change.
    owner: String,
    partitions: Vec<i32>,
}

impl Claims {
    pub fn new(group: &'static str) -> Claims {
        Claims { group, owner: String::new(), partitions: Vec::new() }
    }

    pub fn take(&mut self, owner: String, partitions: &[i32], until_us: u64, cx: &mut Cx<'_>) {
        self.give_up(cx);
        (self.owner, self.partitions) = (owner, partitions.to_vec());
        self.go_on(until_us, cx);
    }

    pub fn go_on(&self, until_us: u64, cx: &mut Cx<'_>) {
        let (group, member, partitions, now_us) = (self.group, &self.owner[..], &self.partitions[..], cx.now_us);
        cx.see(Seen::Grouped(Grouped::Claims { group, member, partitions, now_us, until_us }));
    }

    pub fn give_up(&mut self, cx: &mut Cx<'_>) {
        if !self.partitions.is_empty() {
            self.partitions.clear();
            self.go_on(u64::MAX, cx);
        }
    }
}
