//! What the driver calls durable has made the device flush its cache, as the kernel counts flushes: a trace of what we
//! asked for cannot show a flag or a sync that the driver forgets. Needs root and a loop device; without, nothing is tested.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use heddle_border::{Blocks, DiskOp, Done, Failed, Fault, FileId, OpenMode};
use heddle_uring::Durability;
use support::{Stage, blocks, pattern};

const MIB: u64 = 1 << 20;
/// How often each promise is made.
const ROUNDS: u64 = 5;

/// A file system of its own, so that nobody else makes the device flush.
struct Device {
    dir: PathBuf,
    name: String,
}

impl Device {
    fn new(name: &str) -> Option<Device> {
        let base = std::env::temp_dir().join(format!("heddle-device-{name}-{}", std::process::id()));
        let (image, dir) = (base.join("image"), base.join("mounted"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::File::create(&image).unwrap().set_len(64 * MIB).unwrap();
        // Without a journal nothing is written in the background by flushing.
        let options = ["-q", "-m", "0", "-O", "^has_journal"];
        let ready = run(Command::new("mkfs.ext4").args(options).arg(&image))
            && run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&dir));
        if !ready {
            eprintln!("no file system can be made and mounted here: nothing to test");
            std::fs::remove_dir_all(base).unwrap();
            return None;
        }
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let mounted = mounts.lines().find(|line| line.split(' ').nth(1) == dir.to_str());
        let device = mounted.and_then(|line| line.split(' ').next()).expect("it was just mounted");
        let name = Path::new(device).file_name().unwrap().to_str().unwrap().to_owned();
        Some(Device { dir, name })
    }

    /// Flushes of the device's cache so far: field 16 of the kernel's block device statistics.
    fn flushes(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/sys/block/{}/stat", self.name)).unwrap();
        stat.split_whitespace().nth(15).expect("a kernel that counts flushes").parse().unwrap()
    }

    fn free(&self) -> u64 {
        let found = nix::sys::statvfs::statvfs(&self.dir).unwrap();
        found.blocks_available() as u64 * found.fragment_size() as u64
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        assert!(run(Command::new("umount").arg("-l").arg(&self.dir)), "it was mounted");
        std::fs::remove_dir_all(self.dir.parent().expect("it has a base")).unwrap();
    }
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn stage_on(device: &Device, name: &str, durability: Durability) -> Stage {
    let dir = device.dir.clone();
    Stage::with(name, 1, move |options| {
        options.cores[0].data_dir = dir;
        options.durability = Some(durability);
    })
}

fn write(file: FileId, at: u64, durable: bool) -> DiskOp {
    DiskOp::Write { file, at, buf: blocks(&pattern(at as u8, 4096)), durable }
}

#[test]
fn what_is_promised_durable_has_reached_the_device() {
    promises_are_kept("durable-flag", Durability::Flag);
}

#[test]
fn what_is_promised_durable_has_reached_the_device_by_a_flush() {
    promises_are_kept("durable-flush", Durability::Flush);
}

fn promises_are_kept(name: &str, durability: Durability) {
    let Some(device) = Device::new(name) else { return };
    let stage = stage_on(&device, name, durability);
    let (file, _) = stage.open(1, "f", OpenMode::Create).unwrap();
    stage.disk(DiskOp::Prewrite { file, from: 0, len: MIB }).unwrap();

    // Somebody may make every file system sync: then another try shows that these alone flush nothing.
    let idle = (0..20).any(|_| {
        let before = device.flushes();
        for round in 0..ROUNDS {
            stage.disk(write(file, round * 4096, false)).unwrap();
            stage.disk(DiskOp::Read { file, at: 0, buf: Blocks::zeroed(4096) }).unwrap();
        }
        device.flushes() == before
    });
    assert!(idle, "what nobody vouches for makes no device flush, or the counts below say nothing");

    let flushes = |what: &str, op: &dyn Fn(u64) -> DiskOp| {
        let before = device.flushes();
        for round in 0..ROUNDS {
            stage.disk(op(round)).unwrap();
        }
        let flushed = device.flushes() - before;
        assert!(flushed >= ROUNDS, "{what}, {ROUNDS} times: the device has flushed {flushed} times");
    };
    flushes("a durable write", &|round| write(file, round * 4096, true));
    flushes("a durable write at the end of a file", &|round| write(file, MIB + round * 4096, true));
    flushes("a sync", &|_| DiskOp::Sync { file });
    flushes("prewriting", &|round| DiskOp::Prewrite { file, from: (2 + round) * MIB, len: MIB });
    for round in 0..ROUNDS {
        stage.open(10 + round as u32, &format!("new-{round}"), OpenMode::Create).unwrap();
        flushes("a directory's names", &|_| DiskOp::SyncDir { path: String::new() });
    }
    stage.end();
}

/// A file that has no room is refused before it takes the last of it.
#[test]
fn prewriting_takes_all_it_needs_or_nothing() {
    let Some(device) = Device::new("full") else { return };
    let stage = stage_on(&device, "device-full", Durability::Flag);
    let (file, _) = stage.open(1, "f", OpenMode::Create).unwrap();
    let (free, flushes) = (device.free(), device.flushes());
    let refused: Result<Done, Failed> = stage.disk(DiskOp::Prewrite { file, from: 0, len: 2 * free / MIB * MIB });
    assert_eq!(refused.expect_err("there is no room").fault, Fault::NoSpace);
    assert_eq!(std::fs::metadata(device.dir.join("f")).unwrap().len(), 0, "nothing of it was written");
    assert_eq!((device.free(), device.flushes()), (free, flushes));
    stage.disk(DiskOp::Prewrite { file, from: 0, len: free / 2 / MIB * MIB }).unwrap();
    // What is there already needs no room again.
    stage.disk(DiskOp::Prewrite { file, from: 0, len: free / 2 / MIB * MIB + MIB }).unwrap();
    stage.end();
}
