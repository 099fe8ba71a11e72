//! What must be true of all replicas together, after every step.

use crate::replica::{Replica, Value};
use heddle_model::{Offset, Point, Term, Voter};
use heddle_raft::{Fault, Role};
use std::collections::BTreeMap;

/// A checker's name and what it saw.
pub type Violation = String;

#[derive(Default)]
pub struct Checkers {
    leaders: BTreeMap<Term, Voter>,
    committed: Vec<Value>,
    log_start_safe: Offset,
    /// Worth reaching, else a walk shows little.
    pub commits_across_terms: bool,
}

impl Checkers {
    pub fn on_role(&mut self, replica: &Replica, role: Role) -> Result<(), Violation> {
        let Role::Leader { serving } = role else { return Ok(()) };
        let term = replica.group.term();
        if *self.leaders.entry(term).or_insert(replica.me) != replica.me {
            return Err(format!("one leader per term: {} and {:?} in {term}", replica.me.node, self.leaders[&term]));
        }
        if self.leaders.keys().any(|newer| *newer > term) {
            return Ok(()); // Outvoted already; it will commit nothing.
        }
        if replica.group.end().offset < self.high_watermark() {
            return Err(format!("leader holds all committed: {} lacks some", replica.me.node));
        }
        self.agrees(replica, self.high_watermark())?;
        if serving && replica.group.log_start() < self.log_start_safe {
            return Err(format!("log start never goes back: {} serves below {}", replica.me.node, self.log_start_safe));
        }
        Ok(())
    }

    pub fn on_commit(&mut self, replica: &Replica, offset: Offset) -> Result<(), Violation> {
        self.agrees(replica, offset)?;
        for at in self.committed.len() as i64..offset.0 {
            let Some(value) = replica.data.get(at) else {
                return Err(format!("committed values exist: {} lacks {at}", replica.me.node));
            };
            self.committed.push(value);
        }
        self.commits_across_terms |= self.committed.windows(2).any(|w| w[0].0 != w[1].0);
        Ok(())
    }

    pub fn on_log_start_safe(&mut self, offset: Offset) {
        self.log_start_safe = self.log_start_safe.max(offset);
    }

    pub fn on_report(&mut self, replica: &Replica, fault: Fault) -> Result<(), Violation> {
        if matches!(fault, Fault::LostAcknowledged(_)) {
            return Ok(()); // Also seen when an old rejection arrives late.
        }
        Err(format!("nobody breaks the rules: {} reports {fault:?}", replica.me.node))
    }

    pub fn high_watermark(&self) -> Offset {
        Offset(self.committed.len() as i64)
    }

    fn agrees(&self, replica: &Replica, upto: Offset) -> Result<(), Violation> {
        for (at, value) in self.committed.iter().enumerate().take(upto.0 as usize) {
            if replica.data.get(at as i64).is_some_and(|own| own != *value) {
                return Err(format!("committed prefix equal: {} differs at {at}", replica.me.node));
            }
        }
        Ok(())
    }

    /// Equal points mean equal prefixes: the whole log model rests on it. Looks at the replica that just acted.
    pub fn check(&self, replicas: &[Replica], acted: usize) -> Result<(), Violation> {
        let a = &replicas[acted];
        for b in replicas.iter().filter(|b| b.me != a.me) {
            let Some(shared) = largest_shared(a, b) else { continue };
            let from = a.data.base.max(b.data.base);
            if (from..shared.offset.0).any(|at| a.data.get(at) != b.data.get(at)) {
                let (a, b) = (a.me.node, b.me.node);
                return Err(format!("equal points mean equal prefixes: {a} and {b} at {shared:?}"));
            }
        }
        Ok(())
    }
}

fn largest_shared(a: &Replica, b: &Replica) -> Option<Point> {
    let ends = a.group.history().lines().iter().rev().filter_map(|(term, _)| {
        let own = a.group.history().end_of(*term, a.group.end().offset)?;
        let other = b.group.history().end_of(*term, b.group.end().offset)?;
        let point = Point { term: *term, offset: own.min(other) };
        let contains = |r: &Replica| r.group.history().contains(point, r.group.end().offset);
        (contains(a) && contains(b)).then_some(point)
    });
    ends.into_iter().next()
}
