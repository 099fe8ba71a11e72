//! What a seed means: how large the node is, who its clients are, how often it dies, and what else goes wrong.

use heddle_fakedisk::Dice;

use crate::record::{Keys, Sizes};

/// In runs in which offsets expire: after how long, and how often that is looked at.
pub const OFFSETS_RETENTION_MS: u64 = 60_000;
pub const OFFSETS_CHECK_MS: u64 = 1_000;

/// How a life of a node ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The power fails: what nobody vouched for stays or goes, sector by sector.
    Crash,
    /// The power fails and nothing stays that was not vouched for.
    HardCrash,
    /// kill -9: all that completed stays.
    Kill,
    /// SIGTERM, and a crash if it does not end.
    Stop,
}

/// What goes wrong in a life, beside its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The disk is full for a while.
    Full,
    /// A few writes to one file fail.
    WriteError,
    /// A few reads of one file fail.
    ReadError,
    /// The node goes quiet and ends; then one byte of a journal file or a segment has rotted.
    Rot,
    /// The node goes quiet and ends; then the directory of one of its journals is gone.
    JournalLost,
    /// The wall clock jumps ten days ahead (trap 40) or a day back.
    ClockJump,
}

#[derive(Clone, Debug)]
pub struct Life {
    pub shards: u16,
    /// Of each core. Bytes.
    pub memory: usize,
    /// After so many steps it ends.
    pub steps: u64,
    pub end: End,
    pub trouble: Option<Trouble>,
    /// It ends sooner, once compaction asked for so many things of the disk.
    pub after_compacting: Option<u64>,
    /// It ends sooner, so many steps after a topic was to be deleted.
    pub after_deleting: Option<u64>,
}

/// How often each kind of thing happens next, relative to the others.
#[derive(Clone, Copy, Debug)]
pub struct Mood {
    pub turn: u64,
    pub disk: u64,
    pub mail: u64,
    pub net: u64,
    pub work: u64,
    pub client: u64,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Single-node groups only so far; the structure is for more.
    pub nodes: usize,
    pub journal_files: usize,
    pub journal_file_bytes: u64,
    pub sizes: Sizes,
    pub records_a_batch: u64,
    pub topics: usize,
    pub partitions: i32,
    pub producers: usize,
    pub consumers: usize,
    /// Members of a group of the classic protocol, and of one of the consumer protocol.
    pub classic_members: usize,
    pub modern_members: usize,
    /// Of a group of both, which changes its protocol when the last of the consumer protocol goes, or the first comes.
    pub mixed_members: Option<(usize, usize)>,
    /// Members of the consumer protocol subscribe by expression.
    pub expressions: bool,
    /// Committed offsets expire while the run lasts.
    pub expires: bool,
    /// Offsets are committed for a topic that is deleted and created again.
    pub renews: bool,
    /// Topics with records of so many keys are compacted, and so are those of the coordinators.
    pub keys: Option<Keys>,
    /// How much longer than usual a step takes: sessions and rebalances last longer than reads and writes.
    pub pace: u64,
    pub mood: Mood,
    pub lives: Vec<Life>,
}

impl Plan {
    pub fn of(seed: u64) -> Plan {
        Plan::without_members(seed).with_members().with_compaction().with_migration().with_expiry().with_renewal()
    }

    /// The same, and never about groups.
    pub fn without_members(seed: u64) -> Plan {
        let mut dice = Dice::new(seed ^ 0x005e_ed0f_1ead);
        let dice = &mut dice;
        let large = dice.chance(35);
        let sizes = match (large, dice.below(3)) {
            (true, 0) => Sizes { least: 9_000, spread: 0 },
            (true, _) => Sizes { least: 2_000, spread: 12_000 },
            (false, 0) => Sizes { least: 100, spread: 0 },
            (false, _) => Sizes { least: 0, spread: 400 },
        };
        let mut mood = || 1 + dice.below(12);
        let mood =
            Mood { turn: 6 + mood(), disk: mood(), mail: mood(), net: 3 + mood(), work: mood(), client: 2 + mood() };
        let count = 2 + dice.below(4);
        let trouble = if dice.chance(60) { Some(roll_trouble(dice)) } else { None };
        // One of seven: what other seeds mean does not change.
        let loses = trouble == Some(Trouble::Rot) && seed % 7 == 1;
        let trouble = if loses { Some(Trouble::JournalLost) } else { trouble };
        let troubled = dice.below(count);
        let lives = (0..count).map(|life| roll_life(dice, trouble.filter(|_| life == troubled))).collect();
        Plan {
            seed,
            nodes: 1,
            // Small, so that the ring goes around many times, but never too small for a batch.
            journal_files: 3 + dice.below(4) as usize,
            journal_file_bytes: (if large { 262_144 } else { 65_536 }) << dice.below(3),
            sizes,
            records_a_batch: 1 + dice.below(if large { 3 } else { 5 }),
            topics: 1 + dice.below(3) as usize,
            partitions: 1 + dice.below(3) as i32,
            producers: 1 + dice.below(4) as usize,
            consumers: 1 + dice.below(2) as usize,
            classic_members: 0,
            modern_members: 0,
            mixed_members: None,
            expressions: false,
            expires: false,
            renews: false,
            keys: None,
            pace: 1,
            mood,
            lives,
        }
    }

    /// In some runs groups are what it is about: their members, few others, and longer lives.
    fn with_members(mut self) -> Plan {
        // Dice of its own: the other runs stay as they are.
        let mut dice = Dice::new(self.seed ^ 0x6272_6f75_7073);
        if !dice.chance(30) {
            return self;
        }
        self.classic_members = dice.below(5) as usize;
        let least = if self.classic_members < 2 { 2 } else { 0 };
        self.modern_members = least + dice.below(3) as usize;
        (self.producers, self.consumers, self.topics) = (1, 1, 1);
        self.partitions = 3 + dice.below(4) as i32;
        self.pace = 40;
        for life in self.lives.iter_mut().filter(|life| life.steps >= 200) {
            life.steps *= 4;
        }
        self
    }

    /// In some runs compaction is what it is about: topics of few keys, small segments, and lives that end in the middle
    /// of a round.
    fn with_compaction(mut self) -> Plan {
        let mut dice = Dice::new(self.seed ^ 0x636f_6d70_6163);
        if !dice.chance(30) {
            return self;
        }
        self.keys = Some(Keys(3 + dice.below(30)));
        self.topics = 2 + dice.below(2) as usize;
        self.partitions = 1 + dice.below(2) as i32;
        self.producers = 1 + dice.below(3) as usize;
        self.pace = self.pace.max(100 + dice.below(200));
        let longer = if self.has_members() { 1 } else { 4 };
        for life in self.lives.iter_mut().filter(|life| life.steps >= 200) {
            life.steps *= longer;
            life.after_compacting = dice.chance(60).then(|| 1 + dice.below(60));
        }
        self
    }

    /// In some of the runs about groups one changes its protocol again and again; in some, one subscribes by expression.
    fn with_migration(mut self) -> Plan {
        let mut dice = Dice::new(self.seed ^ 0x006d_6978_6564);
        if self.has_members() && dice.chance(60) {
            // The others have had their runs.
            self.classic_members = self.classic_members.min(dice.below(3) as usize);
            self.modern_members = self.modern_members.min(dice.below(3) as usize);
            self.mixed_members = Some((1 + dice.below(3) as usize, 1 + dice.below(2) as usize));
        }
        self.expressions = self.modern_members > 0 && dice.chance(50);
        if self.expressions {
            self.topics = self.topics.max(3);
        }
        self
    }

    /// In some runs that are about nothing else, committed offsets are left alone for minutes. The clocks are right: a commit
    /// is as old as the clock said when it came.
    fn with_expiry(mut self) -> Plan {
        let mut dice = Dice::new(self.seed ^ 0x6578_7069_7265);
        let is_free = !self.has_members() && self.keys.is_none() && !self.has(Trouble::ClockJump);
        self.expires = is_free && dice.chance(15);
        self
    }

    /// In some runs that are about no groups, one commits for a topic that comes and goes, all the time, and lives end when
    /// it goes.
    fn with_renewal(mut self) -> Plan {
        let mut dice = Dice::new(self.seed ^ 0x7265_6e65_7773);
        self.renews = !self.has_members() && !self.expires && self.topics > 1 && dice.chance(25);
        for life in self.lives.iter_mut().filter(|life| self.renews && life.steps >= 200) {
            life.after_deleting = dice.chance(60).then(|| 20 + dice.below(150));
        }
        self
    }

    /// Whether what the group coordinators wrote may be compacted: because the run is about that, or because segments
    /// grow old in one jump of the clock.
    pub fn compacts_groups(&self) -> bool {
        self.keys.is_some() || self.has(Trouble::ClockJump)
    }

    /// Settings of the broker that this run has.
    pub fn settings(&self) -> &'static [(&'static str, &'static str)] {
        // A minute of a run is for retention to come by (`Trouble::ClockJump`).
        const LOOKS: (&str, &str) = ("log.retention.check.interval.ms", "15000");
        const SMALL_SEGMENTS: &[(&str, &str)] = &[
            LOOKS,
            ("log.roll.ms", "300"),
            ("log.cleaner.backoff.ms", "1000"),
            ("log.cleaner.min.cleanable.ratio", "0.0"),
        ];
        // `OFFSETS_RETENTION_MS`, `OFFSETS_CHECK_MS`.
        const SHORT_RETENTION: &[(&str, &str)] =
            &[LOOKS, ("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "1000")];
        match (self.expires, self.keys.is_some()) {
            (true, _) => SHORT_RETENTION,
            (_, true) => SMALL_SEGMENTS,
            _ => &[LOOKS],
        }
    }

    pub fn has_members(&self) -> bool {
        self.classic_members + self.modern_members > 0 || self.mixed_members.is_some()
    }

    pub fn has(&self, trouble: Trouble) -> bool {
        self.lives.iter().any(|life| life.trouble == Some(trouble))
    }
}

fn roll_trouble(dice: &mut Dice) -> Trouble {
    match dice.below(9) {
        0 | 1 => Trouble::Full,
        2 | 3 => Trouble::WriteError,
        4 => Trouble::ReadError,
        5 | 6 => Trouble::Rot,
        _ => Trouble::ClockJump,
    }
}

fn roll_life(dice: &mut Dice, trouble: Option<Trouble>) -> Life {
    // A short life ends during its recovery.
    let steps = match dice.below(4) {
        0 if trouble.is_none() => 5 + dice.below(120),
        1 => 200 + dice.below(500),
        _ => 600 + dice.below(1_200),
    };
    let end = match dice.below(8) {
        0 | 1 => End::HardCrash,
        2 => End::Kill,
        3 => End::Stop,
        _ => End::Crash,
    };
    let memory = [1 << 20, 4 << 20, 64 << 20][dice.below(3) as usize];
    Life { shards: 1 + dice.below(4) as u16, memory, steps, end, trouble, after_compacting: None, after_deleting: None }
}
