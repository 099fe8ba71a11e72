//! Members that go: on their own word, or because they were not heard of.

use crate::{ConsumerHeartbeat, ConsumerHeartbeatAnswer, MemberId, Refusal, Text, schema::Key};

use super::{Consumer, Downgrade, Partitions, change::Draft, group::AWAY};

impl Consumer<'_> {
    /// ConsumerGroupHeartbeat with epoch -1 or -2.
    pub fn leave(&mut self, ask: &ConsumerHeartbeat) -> Result<ConsumerHeartbeatAnswer, Refusal> {
        let member = match &ask.instance {
            None => ask.member.clone(),
            Some(instance) => match self.group.statics.get(instance) {
                None => return Err(Refusal::UnknownMember),
                Some(id) if *id != ask.member => return Err(Refusal::FencedInstance),
                Some(id) => id.clone(),
            },
        };
        if !self.group.members.contains_key(&member) {
            return Err(Refusal::UnknownMember);
        }
        if ask.epoch == AWAY {
            self.go_away(&member);
        } else {
            self.remove([member.clone()]);
        }
        Ok(ConsumerHeartbeatAnswer { member, epoch: ask.epoch, interval_ms: 0, assignment: None })
    }

    /// A static member keeps what it has until it comes back or its session ends.
    fn go_away(&mut self, id: &MemberId) {
        let Some(member) = self.group.members.get(id) else { return };
        let mut current = member.current.clone();
        current.epoch = AWAY;
        current.revoking = Partitions::default();
        self.watch.rebalances.remove(id);
        self.write(Key::Current(self.id.clone(), id.clone()), Some(current.to_value().encode()));
    }

    /// Takes members out; the group goes on without them.
    pub(super) fn remove(&mut self, members: impl IntoIterator<Item = MemberId>) {
        let members: Vec<MemberId> = members.into_iter().collect();
        if let [only] = members.as_slice()
            && self.group.members.len() > 1
            && self.group.is_classic_without(only, self.settings)
        {
            self.downgrade = Some(Downgrade::Leaves(only.clone()));
            return;
        }
        let mut draft = Draft::of(self.group);
        for member in members {
            self.forget_deadlines(&member);
            self.remove_member(&member, &mut draft);
        }
        if draft.gone.is_empty() {
            return;
        }
        self.forget_unused_regexes(&draft);
        self.settle(&mut draft, true);
        self.assign_when_due(&mut draft);
    }

    pub(super) fn remove_member(&mut self, member: &MemberId, draft: &mut Draft<'_>) {
        let id = self.id.clone();
        self.write(Key::Current(id.clone(), member.clone()), None);
        self.write(Key::Target(id.clone(), member.clone()), None);
        self.write(Key::Member(id, member.clone()), None);
        draft.gone.insert(member.clone());
    }

    fn forget_unused_regexes(&mut self, draft: &Draft<'_>) {
        let used = draft.used_regexes();
        let unused: Vec<Text> = self.group.regexes.keys().filter(|regex| !used.contains(regex)).cloned().collect();
        for regex in unused {
            self.write(Key::Regex(self.id.clone(), regex), None);
        }
    }

    /// An expression goes with the last of its users.
    pub(super) fn forget_regex_if_unused(&mut self, regex: Option<&Text>, users_that_left: usize) {
        let Some(regex) = regex else { return };
        if self.group.used_regexes.get(regex).is_some_and(|users| *users <= users_that_left) {
            self.write(Key::Regex(self.id.clone(), regex.clone()), None);
        }
    }
}
