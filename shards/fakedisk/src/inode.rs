//! One file's bytes: what readers see now, what would certainly survive a crash, and what might.

use std::collections::BTreeMap;
use std::sync::Arc;

use heddle_model::limits::BLOCK_BYTES;

use crate::dice::Dice;

/// What a disk writes whole or not at all. Bytes.
pub const SECTOR_BYTES: usize = 512;

type Block = Arc<[u8; BLOCK_BYTES]>;

/// A block that is absent, everywhere here, is all zeros.
#[derive(Clone, Default)]
pub struct Inode {
    len: u64,
    now: BTreeMap<u64, Block>,
    kept_len: u64,
    kept: BTreeMap<u64, Block>,
    /// Completed writes nobody vouched for, per block, oldest first, each with the count of completions at its time.
    loose: BTreeMap<u64, Vec<(u64, Option<Block>)>>,
    loose_lens: Vec<(u64, u64)>,
    completions: u64,
}

/// How much of what nobody vouched for survives one crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mercy {
    Nothing,
    Everything,
    /// Each sector or name by itself, in so many of a hundred cases.
    Percent(u64),
}

impl Mercy {
    pub fn roll(dice: &mut Dice) -> Mercy {
        match dice.below(8) {
            0 | 1 => Mercy::Nothing,
            2 => Mercy::Everything,
            _ => Mercy::Percent(5 + dice.below(91)),
        }
    }

    pub fn keeps(self, dice: &mut Dice) -> bool {
        match self {
            Mercy::Nothing => false,
            Mercy::Everything => true,
            Mercy::Percent(percent) => dice.chance(percent),
        }
    }
}

impl Inode {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn completions(&self) -> u64 {
        self.completions
    }

    /// Bytes from `at` into `buf`; how many there are before the end of the file.
    pub fn read(&self, at: u64, buf: &mut [u8]) -> usize {
        let len = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX).min(buf.len());
        for (index, chunk) in buf[..len].chunks_mut(BLOCK_BYTES).enumerate() {
            match self.now.get(&(at / BLOCK_BYTES as u64 + index as u64)) {
                Some(block) => chunk.copy_from_slice(&block[..chunk.len()]),
                None => chunk.fill(0),
            }
        }
        len
    }

    /// A completed write of whole blocks.
    pub fn write(&mut self, at: u64, bytes: &[u8], durable: bool) {
        let first = at / BLOCK_BYTES as u64;
        let end = at + bytes.len() as u64;
        self.completions += 1;
        for (index, chunk) in bytes.chunks_exact(BLOCK_BYTES).enumerate() {
            let number = first + index as u64;
            let block: [u8; BLOCK_BYTES] = chunk.try_into().expect("whole blocks");
            self.put(number, Some(Arc::new(block)), durable);
        }
        self.grow(end, durable);
    }

    /// A write that failed: any sectors of it may be there, and may go again.
    pub fn write_torn(&mut self, at: u64, bytes: &[u8], mercy: Mercy, dice: &mut Dice) {
        let first = at / BLOCK_BYTES as u64;
        self.completions += 1;
        for (index, chunk) in bytes.chunks_exact(BLOCK_BYTES).enumerate() {
            let number = first + index as u64;
            if (number + 1) * BLOCK_BYTES as u64 > self.len {
                break;
            }
            let mut block = self.now.get(&number).map_or([0; BLOCK_BYTES], |block| **block);
            for (old, new) in block.chunks_exact_mut(SECTOR_BYTES).zip(chunk.chunks_exact(SECTOR_BYTES)) {
                if mercy.keeps(dice) {
                    old.copy_from_slice(new);
                }
            }
            self.put(number, Some(Arc::new(block)), false);
        }
    }

    /// A write of which exactly the first `len` bytes are there for certain, as far as the file reaches.
    pub fn write_head(&mut self, at: u64, bytes: &[u8], len: usize) {
        let first = at / BLOCK_BYTES as u64;
        self.completions += 1;
        for (index, chunk) in bytes[..len.min(bytes.len())].chunks(BLOCK_BYTES).enumerate() {
            let number = first + index as u64;
            if (number + 1) * BLOCK_BYTES as u64 <= self.kept_len {
                let mut block = self.kept.get(&number).map_or([0; BLOCK_BYTES], |block| **block);
                block[..chunk.len()].copy_from_slice(chunk);
                self.put(number, Some(Arc::new(block)), true);
            }
        }
    }

    /// Zeros over `from..from + len`.
    pub fn zero(&mut self, from: u64, len: u64, durable: bool) {
        self.completions += 1;
        let (first, end) = (from / BLOCK_BYTES as u64, (from + len) / BLOCK_BYTES as u64);
        let mut numbers: Vec<u64> = self.now.range(first..end).map(|(number, _)| *number).collect();
        numbers.extend(self.kept.range(first..end).map(|(number, _)| *number));
        numbers.extend(self.loose.range(first..end).map(|(number, _)| *number));
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            self.put(number, None, durable);
        }
        self.grow(from + len, durable);
    }

    /// Reserve space: the file is at least `end` long.
    pub fn allocate(&mut self, end: u64) {
        self.completions += 1;
        self.grow(end, false);
    }

    fn put(&mut self, number: u64, block: Option<Block>, durable: bool) {
        if durable {
            self.loose.remove(&number);
            set(&mut self.kept, number, block.clone());
        } else {
            self.loose.entry(number).or_default().push((self.completions, block.clone()));
        }
        set(&mut self.now, number, block);
    }

    fn grow(&mut self, end: u64, durable: bool) {
        self.len = self.len.max(end);
        if durable {
            self.kept_len = self.kept_len.max(end);
        } else if end > self.kept_len {
            self.loose_lens.push((self.completions, end));
        }
        let kept_len = self.kept_len;
        self.loose_lens.retain(|(_, len)| *len > kept_len);
    }

    /// Vouch for everything that completed up to the completion count `upto`.
    pub fn sync(&mut self, upto: u64) {
        let kept = &mut self.kept;
        self.loose.retain(|number, versions| {
            let old = versions.iter().take_while(|(when, _)| *when <= upto).count();
            if let Some((_, block)) = versions.drain(..old).next_back() {
                set(kept, *number, block);
            }
            !versions.is_empty()
        });
        let synced = self.loose_lens.iter().filter(|(when, _)| *when <= upto).map(|(_, len)| *len).max();
        self.kept_len = self.kept_len.max(synced.unwrap_or(0));
        let kept_len = self.kept_len;
        self.loose_lens.retain(|(_, len)| *len > kept_len);
    }

    /// The power fails: what was vouched for stays, the rest by `mercy`.
    pub fn crash(&mut self, mercy: Mercy, dice: &mut Dice) {
        for (number, versions) in std::mem::take(&mut self.loose) {
            let mut block = self.kept.get(&number).map_or([0; BLOCK_BYTES], |block| **block);
            for (sector, old) in block.chunks_exact_mut(SECTOR_BYTES).enumerate() {
                for (_, version) in versions.iter().rev() {
                    if mercy.keeps(dice) {
                        let from = sector * SECTOR_BYTES;
                        match version {
                            Some(new) => old.copy_from_slice(&new[from..from + SECTOR_BYTES]),
                            None => old.fill(0),
                        }
                        break;
                    }
                }
            }
            self.kept.insert(number, Arc::new(block));
        }
        for (_, len) in std::mem::take(&mut self.loose_lens) {
            if mercy.keeps(dice) {
                self.kept_len = self.kept_len.max(len);
            }
        }
        let blocks = self.kept_len.div_ceil(BLOCK_BYTES as u64);
        self.kept.split_off(&blocks);
        self.len = self.kept_len;
        self.now = self.kept.clone();
    }

    /// Flip every bit of a range, in all that is or may be there: the medium rots.
    pub fn rot(&mut self, at: u64, len: u64) {
        for position in at..(at + len).min(self.len) {
            let (number, within) = (position / BLOCK_BYTES as u64, (position % BLOCK_BYTES as u64) as usize);
            for map in [&mut self.now, &mut self.kept] {
                let mut block = map.get(&number).map_or([0; BLOCK_BYTES], |block| **block);
                block[within] ^= 0xff;
                map.insert(number, Arc::new(block));
            }
            for (_, version) in self.loose.get_mut(&number).into_iter().flatten() {
                let mut block = version.as_ref().map_or([0; BLOCK_BYTES], |block| **block);
                block[within] ^= 0xff;
                *version = Some(Arc::new(block));
            }
        }
    }
}

fn set(map: &mut BTreeMap<u64, Block>, number: u64, block: Option<Block>) {
    match block {
        Some(block) => map.insert(number, block),
        None => map.remove(&number),
    };
}
