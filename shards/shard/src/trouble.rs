//! A journal that the disk refuses, told to the operator: when it begins or gets worse, once in a while as long as it
//! lasts, and when it is over.

use heddle_border::Fault;
use heddle_model::Mono;

use crate::mail::Level;
use crate::turn::Shard;

const AGAIN_MS: u64 = 60_000;

/// What was said last, and when; `None`: nothing, or that it is over.
#[derive(Default)]
pub struct JournalTrouble {
    said: Option<(Fault, bool, Mono)>,
}

impl JournalTrouble {
    /// Whether to speak now of a `fault` that is there `for_good`.
    fn is_news(&mut self, fault: Fault, for_good: bool, now: Mono) -> bool {
        let said = self.said.filter(|(was, _, at)| *was == fault && now < at.plus_ms(AGAIN_MS));
        if said.is_some_and(|(_, was_for_good, _)| was_for_good == for_good) {
            return false;
        }
        self.said = Some((fault, for_good, now));
        true
    }
}

impl Shard {
    /// At the end of a turn.
    pub(crate) fn report_journal_trouble(&mut self) {
        let (me, journal) = (self.me, &self.journals[0]);
        let Some((path, fault)) = journal.trouble() else {
            if self.trouble.said.take().is_some() {
                self.log(Level::Info, format!("core {me}: its journal is written again"));
            }
            return;
        };
        let for_good = journal.is_broken_for_good();
        if self.trouble.is_news(fault, for_good, self.now.mono) {
            let then = if for_good {
                "writes failed in two files in a row. Nothing becomes durable before the next start: the core's partitions \
                 are read, and take no records. Look at the disk and at the kernel's log"
            } else {
                "the journal goes on in another file as soon as it can"
            };
            let remedy = if for_good { "" } else { fault.remedy() };
            let text = format!("core {me}: {path} cannot be written: {fault}{remedy}; {then}");
            self.log(Level::Error, text);
        }
    }

    /// Why nothing becomes durable on this core before the next start; `None`: it does.
    pub(crate) fn broken(&self) -> Option<String> {
        let journal = self.journals.first().filter(|journal| journal.is_broken_for_good())?;
        let (path, fault) = journal.trouble()?;
        Some(format!("{path} cannot be written: {fault}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_said_when_it_begins_when_it_gets_worse_and_once_a_minute() {
        let mut trouble = JournalTrouble::default();
        let at = |ms| Mono::default().plus_ms(ms);
        assert!(trouble.is_news(Fault::Io(5), false, at(0)));
        assert!(!trouble.is_news(Fault::Io(5), false, at(10)));
        assert!(trouble.is_news(Fault::Io(5), true, at(10)));
        assert!(!trouble.is_news(Fault::Io(5), true, at(60_009)));
        assert!(trouble.is_news(Fault::NoSpace, true, at(60_009)));
        assert!(trouble.is_news(Fault::NoSpace, true, at(120_009)));
    }
}
