//! The history of a log: one line (term, start offset) per leader's term. With the log's end it defines which points
//! the log contains (RULES B, Identity). It also answers Kafka's OffsetForLeaderEpoch.

use heddle_model::{LeaderEpoch, Offset, Point, Term};

/// Never empty. Terms strictly rise, starts never fall. Lines that end at or below the log start may be trimmed away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    lines: Vec<(Term, Offset)>,
}

impl History {
    /// The history of a log that begins at `first`: a new partition begins at term 0, offset 0.
    pub fn new(first: Point) -> History {
        History { lines: vec![(first.term, first.offset)] }
    }

    /// `None` unless the lines form a history: at least one, terms strictly rising, starts not falling, none negative.
    pub fn from_lines(lines: Vec<(Term, Offset)>) -> Option<History> {
        let first = lines.first()?;
        let sound = first.0.0 >= 0 && first.1.0 >= 0 && lines.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1);
        sound.then_some(History { lines })
    }

    pub fn lines(&self) -> &[(Term, Offset)] {
        &self.lines
    }

    /// The newest line.
    pub fn last(&self) -> (Term, Offset) {
        *self.lines.last().expect("a history has at least one line")
    }

    /// The oldest line kept.
    pub fn first(&self) -> (Term, Offset) {
        self.lines[0]
    }

    /// The largest point at `offset`: its term is that of the last line that starts at or below. Below the first line
    /// it is the first line's term.
    pub fn point(&self, offset: Offset) -> Point {
        let after = self.lines.partition_point(|line| line.1 <= offset);
        Point { term: self.lines[after.saturating_sub(1)].0, offset }
    }

    /// The smallest point at `offset`: the first term that reaches it. A line that starts just there is left out.
    pub fn smallest_point(&self, offset: Offset) -> Point {
        let at = self.lines.partition_point(|line| line.1 < offset);
        Point { term: self.lines[at.saturating_sub(1)].0, offset }
    }

    /// Whether a log with this history, ending at `log_end`, contains the point.
    pub fn contains(&self, point: Point, log_end: Offset) -> bool {
        match self.find(point.term) {
            Some(at) => self.lines[at].1 <= point.offset && point.offset <= self.end_at(at, log_end),
            None => false,
        }
    }

    /// Where a term's part of the log ends: the next line's start, or the log's end. `None` if the term has no line.
    pub fn end_of(&self, term: Term, log_end: Offset) -> Option<Offset> {
        self.find(term).map(|at| self.end_at(at, log_end))
    }

    /// The largest point whose term is not above `term`. `None` if all lines kept are above it.
    pub fn largest_not_above(&self, term: Term, log_end: Offset) -> Option<Point> {
        let at = self.lines.partition_point(|line| line.0 <= term).checked_sub(1)?;
        Some(Point { term: self.lines[at].0, offset: self.end_at(at, log_end) })
    }

    /// Lines of terms above `term`, oldest first.
    pub fn above(&self, term: Term) -> &[(Term, Offset)] {
        &self.lines[self.lines.partition_point(|line| line.0 <= term)..]
    }

    /// A new leader's term begins.
    pub fn push(&mut self, term: Term, start: Offset) {
        let last = self.last();
        assert!(last.0 < term && last.1 <= start, "line ({term}, {start}) does not follow {last:?}");
        self.lines.push((term, start));
    }

    /// Drops the lines of terms above `last`, which has a line.
    pub fn cut(&mut self, last: Term) {
        assert!(self.find(last).is_some(), "a history is cut back to a term that it has");
        self.lines.retain(|line| line.0 <= last);
    }

    /// Drops lines whose part of the log ends at or below the log start. The line that spans it keeps its true start,
    /// so histories of different replicas stay equal line by line.
    pub fn trim(&mut self, log_start: Offset) {
        let spanning = self.lines.partition_point(|line| line.1 < log_start).saturating_sub(1);
        self.lines.drain(..spanning);
    }

    /// OffsetForLeaderEpoch as Apache Kafka answers it (`LeaderEpochFileCache.endOffsetFor`): the largest epoch not above
    /// `asked`, and its end. Kafka remembers the newest epoch, and of the others those that have records at or beyond the
    /// log start. An epoch older than all of these is given back with the start of the oldest. `None`: `asked` is none, or
    /// newer than all.
    pub fn epoch_end(&self, asked: LeaderEpoch, log_start: Offset, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let newest = self.last().0.epoch();
        if asked == LeaderEpoch::NONE || newest == LeaderEpoch::NONE || asked > newest {
            return None;
        }
        if asked == newest {
            return Some((asked, log_end));
        }
        let above = self.lines.partition_point(|line| line.0.epoch() <= asked);
        let is_remembered = |lines: &&[(Term, Offset)]| lines[1].1 > lines[0].1.max(log_start);
        let found = self.lines[..=above].windows(2).rev().find(is_remembered);
        let end = self.lines[above].1.max(log_start);
        Some((found.map_or(asked, |lines| lines[0].0.epoch()), end))
    }

    fn find(&self, term: Term) -> Option<usize> {
        self.lines.binary_search_by_key(&term, |line| line.0).ok()
    }

    fn end_at(&self, at: usize, log_end: Offset) -> Offset {
        self.lines.get(at + 1).map_or(log_end, |next| next.1)
    }
}
