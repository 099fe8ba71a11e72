//! What every driver owes a machine on the disk.

mod support;

use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use heddle_border::{Blocks, DiskOp, Done, Effect, Entry, Failed, Fault, FileId, OpenMode};
use heddle_uring::Durability;
use nix::libc;
use support::{Mail, ONE, Stage, blocks, file_bytes, pattern};

fn fault<T>(result: Result<T, Failed>) -> Fault {
    result.map(|_| ()).expect_err("it is refused").fault
}

fn finished(result: Result<Done, Failed>) {
    assert!(matches!(result, Ok(Done::Finished)), "{result:?}");
}

fn written(result: Result<Done, Failed>) -> Blocks {
    match result {
        Ok(Done::Written { buf }) => buf,
        other => panic!("write answered {other:?}"),
    }
}

fn read(stage: &Stage, file: FileId, at: u64, len: usize) -> Vec<u8> {
    match stage.disk(DiskOp::Read { file, at, buf: Blocks::zeroed(len) }) {
        Ok(Done::Read { buf, len }) => buf[..len].to_vec(),
        other => panic!("read answered {other:?}"),
    }
}

#[test]
fn what_is_written_is_read() {
    let stage = Stage::new("round-trip", 1);
    let (file, len) = stage.open(1, "a", OpenMode::Create).unwrap();
    assert_eq!(len, 0);
    for (at, durable) in [(0u64, true), (1 << 20, false)] {
        let bytes = pattern(at as u8, 1 << 20);
        let buf = written(stage.disk(DiskOp::Write { file, at, buf: blocks(&bytes), durable }));
        assert!(buf[..] == bytes[..], "the buffer comes back");
    }
    finished(stage.disk(DiskOp::Sync { file }));
    assert!(read(&stage, file, 0, 1 << 20) == pattern(0, 1 << 20));
    assert!(read(&stage, file, 4096, 8192) == pattern(0, 1 << 20)[4096..12288]);
    assert_eq!(read(&stage, file, (2 << 20) - 4096, 8192).len(), 4096, "short only at the end");
    assert_eq!(read(&stage, file, 4 << 20, 4096).len(), 0);
    finished(stage.disk(DiskOp::Close { file }));
    assert!(file_bytes(&stage.dir.join("a")).len() == 2 << 20);
    let (again, len) = stage.open(2, "a", OpenMode::ReadOnly).unwrap();
    assert_eq!(len, 2 << 20);
    let refused = stage.disk(DiskOp::Write { file: again, at: 0, buf: Blocks::zeroed(4096), durable: false });
    let failed = refused.expect_err("it is read-only");
    assert_eq!((failed.fault, failed.buf.map(|buf| buf.len())), (Fault::Io(9), Some(4096)), "EBADF, buffer back");
    stage.end();
}

/// More than may be under way at once, some larger than all of that: every read is answered, and a file closes behind them.
#[test]
fn reads_that_wait_for_others_are_answered() {
    let stage = Stage::new("many-reads", 1);
    check_reads(&stage);
    stage.end();
}

/// Whoever sent mail may have a client that waits for the write: the reads come in pieces.
#[test]
fn reads_beside_durable_writes_are_whole() {
    let stage = Stage::new("pieces", 1);
    let (file, _) = stage.open(2, "w", OpenMode::Create).unwrap();
    written(stage.disk(DiskOp::Write { file, at: 0, buf: Blocks::zeroed(4096), durable: true }));
    let before = stage.stats()[0].completions;
    check_reads(&stage);
    assert!(stage.stats()[0].completions - before > 40 + 10 * (3 << 4), "each of 3 MiB came in 48 pieces");
    stage.end();
}

fn check_reads(stage: &Stage) {
    let bytes = pattern(3, 4 << 20);
    std::fs::write(stage.dir.join("m"), &bytes).unwrap();
    let (file, _) = stage.open(1, "m", OpenMode::ReadOnly).unwrap();
    let lens = [256 << 10, 3 << 20, 4096, 1 << 20].into_iter().cycle().take(40);
    let asked: Vec<_> = lens.map(|len: usize| (stage.token(), len)).collect();
    let read = |(token, len): &(_, usize)| {
        let op = DiskOp::Read { file, at: 8192, buf: Blocks::zeroed(*len) };
        Effect::Disk { token: *token, op }
    };
    let mut effects: Vec<Effect> = asked.iter().map(read).collect();
    let close = stage.token();
    effects.push(Effect::Disk { token: close, op: DiskOp::Close { file } });
    stage.act(ONE, effects);
    for (token, len) in asked {
        match stage.disk_answer(token) {
            Ok(Done::Read { buf, len: got }) => assert!(got == len && buf[..got] == bytes[8192..8192 + len]),
            other => panic!("read answered {other:?}"),
        }
    }
    finished(stage.disk_answer(close));
}

#[test]
fn a_file_that_ends_within_a_block_reads_to_its_end() {
    let stage = Stage::new("ragged", 1);
    std::fs::write(stage.dir.join("r"), pattern(1, 10_000)).unwrap();
    let (file, len) = stage.open(1, "r", OpenMode::Existing).unwrap();
    assert_eq!(len, 10_000);
    assert!(read(&stage, file, 0, 16384) == pattern(1, 10_000));
    assert!(read(&stage, file, 8192, 4096) == pattern(1, 10_000)[8192..]);
    stage.end();
}

#[test]
fn refusals_have_their_names() {
    let stage = Stage::new("refusals", 1);
    let text = |s: &str| s.to_owned();
    assert_eq!(fault(stage.open(1, "none", OpenMode::Existing)), Fault::NotFound);
    assert_eq!(fault(stage.open(2, "none/deep", OpenMode::Create)), Fault::NotFound);
    stage.open(3, "there", OpenMode::Create).unwrap();
    assert_eq!(fault(stage.open(4, "there", OpenMode::Create)), Fault::AlreadyExists);
    assert_eq!(fault(stage.disk(DiskOp::Remove { path: text("none") })), Fault::NotFound);
    assert_eq!(fault(stage.disk(DiskOp::Rename { from: text("none"), to: text("x") })), Fault::NotFound);
    assert_eq!(fault(stage.disk(DiskOp::SyncDir { path: text("none") })), Fault::NotFound);
    for path in ["", "/etc/passwd", "../x", "a/../../x"] {
        assert_eq!(fault(stage.open(5, path, OpenMode::Existing)), Fault::Io(22), "{path}");
        assert_eq!(fault(stage.disk(DiskOp::RemoveTree { path: text(path) })), Fault::Io(22), "{path}");
    }
    let nobody = FileId { owner: 99, seq: 99 };
    let unopened = [
        DiskOp::Read { file: nobody, at: 0, buf: Blocks::zeroed(4096) },
        DiskOp::Write { file: nobody, at: 0, buf: Blocks::zeroed(4096), durable: true },
        DiskOp::Sync { file: nobody },
        DiskOp::Allocate { file: nobody, from: 0, len: 4096 },
        DiskOp::Prewrite { file: nobody, from: 0, len: 4096 },
        DiskOp::Close { file: nobody },
    ];
    for op in unopened {
        let lends = matches!(op, DiskOp::Read { .. } | DiskOp::Write { .. });
        let failed = stage.disk(op).expect_err("it is not open");
        assert_eq!((failed.fault, failed.buf.is_some()), (Fault::Io(9), lends));
    }
    stage.nothing_more();
    stage.end();
}

#[test]
fn directories_are_made_listed_renamed_removed() {
    let stage = Stage::new("dirs", 1);
    let text = |s: &str| s.to_owned();
    let list = |path: &str| match stage.disk(DiskOp::List { path: text(path) }) {
        Ok(Done::Listed(entries)) => entries,
        other => panic!("list answered {other:?}"),
    };
    assert_eq!(list("none"), []);
    for path in ["d", "d", "d/e"] {
        finished(stage.disk(DiskOp::MakeDir { path: text(path) }));
    }
    for (seq, name) in ["d/b", "d/a", "d/c"].into_iter().enumerate() {
        let (file, _) = stage.open(seq as u32, name, OpenMode::Create).unwrap();
        written(stage.disk(DiskOp::Write { file, at: 0, buf: Blocks::zeroed(4096), durable: true }));
        finished(stage.disk(DiskOp::Close { file }));
    }
    finished(stage.disk(DiskOp::SyncDir { path: "d".to_owned() }));
    finished(stage.disk(DiskOp::SyncDir { path: text("") }));
    finished(stage.disk(DiskOp::Rename { from: text("d/c"), to: text("d/z") }));
    finished(stage.disk(DiskOp::Remove { path: text("d/b") }));
    let entry = |name: &str, len, is_dir| Entry { name: text(name), len, is_dir };
    assert_eq!(list("d"), [entry("a", 4096, false), entry("e", 0, true), entry("z", 4096, false)]);
    assert_eq!(list(""), [entry("d", 0, true)]);
    for _ in 0..2 {
        finished(stage.disk(DiskOp::RemoveTree { path: "d".to_owned() }));
    }
    assert_eq!(list(""), []);
    stage.end();
}

/// The space of a large file goes before its last name is closed by whoever else has it open.
#[test]
fn a_large_file_gives_its_space_back_in_pieces() {
    let stage = Stage::new("shrinks", 1);
    finished(stage.disk(DiskOp::MakeDir { path: "d".to_owned() }));
    let held: Vec<_> = ["a", "d/a"].map(|name| large(&stage, name, (40 << 20) + 5)).into();
    finished(stage.disk(DiskOp::Remove { path: "a".to_owned() }));
    finished(stage.disk(DiskOp::RemoveTree { path: "d".to_owned() }));
    assert_eq!(std::fs::read_dir(&stage.dir).unwrap().count(), 0);
    held.iter().for_each(|file| assert_eq!(file.metadata().unwrap().len(), 0));
    stage.end();
}

#[test]
fn a_core_that_ends_does_not_wait_for_space() {
    let stage = Stage::new("shrinks-not", 1);
    let file = large(&stage, "a", 1 << 38);
    let token = stage.token();
    stage.act(ONE, vec![Effect::Disk { token, op: DiskOp::Remove { path: "a".to_owned() } }]);
    let path = stage.dir.join("a");
    stage.end();
    assert!(!path.exists());
    // Piece by piece it would be gone in nine minutes.
    assert!(file.metadata().unwrap().len() > 0);
}

/// Takes no space: nothing is written.
fn large(stage: &Stage, name: &str, len: u64) -> std::fs::File {
    let file = std::fs::File::create(stage.dir.join(name)).unwrap();
    file.set_len(len).unwrap();
    file
}

#[test]
fn allocated_space_is_new_and_prewritten_space_is_zeros() {
    let stage = Stage::new("zeros", 1);
    let (file, _) = stage.open(1, "z", OpenMode::Create).unwrap();
    let full = blocks(&pattern(7, 1 << 20));
    written(stage.disk(DiskOp::Write { file, at: 0, buf: full, durable: false }));
    finished(stage.disk(DiskOp::Allocate { file, from: 512 << 10, len: 1 << 20 }));
    assert_eq!(std::fs::metadata(stage.dir.join("z")).unwrap().len(), 1536 << 10);
    assert!(read(&stage, file, 0, 1 << 20) == pattern(7, 1 << 20), "what is written stays");
    assert!(read(&stage, file, 1 << 20, 512 << 10) == vec![0; 512 << 10]);
    finished(stage.disk(DiskOp::Prewrite { file, from: 4096, len: (3 << 20) + 4096 }));
    assert_eq!(std::fs::metadata(stage.dir.join("z")).unwrap().len(), (3 << 20) + 8192);
    assert!(read(&stage, file, 4096, 3 << 20) == vec![0; 3 << 20]);
    assert!(read(&stage, file, 0, 4096) == pattern(7, 4096));
    finished(stage.disk(DiskOp::Allocate { file, from: 0, len: 0 }));
    stage.end();
}

#[test]
fn space_is_plausible() {
    let stage = Stage::new("space", 1);
    match stage.disk(DiskOp::Space) {
        Ok(Done::Space { total, free }) => assert!(free > 0 && free <= total),
        other => panic!("space answered {other:?}"),
    }
    stage.end();
}

/// Close comes back after everything that was asked before it, and nothing is taken after it.
#[test]
fn close_waits_for_what_is_under_way() {
    let stage = Stage::new("close-busy", 1);
    for round in 0..20 {
        let (file, _) = stage.open(round, &format!("f{round}"), OpenMode::Create).unwrap();
        let mut tokens = Vec::new();
        let mut effects = Vec::new();
        let mut ask = |op| {
            tokens.push(stage.token());
            effects.push(Effect::Disk { token: tokens[tokens.len() - 1], op });
        };
        for at in 0..8u64 {
            let buf = blocks(&pattern(at as u8, 65536));
            ask(DiskOp::Write { file, at: at * 65536, buf, durable: at % 2 == 0 });
        }
        ask(DiskOp::Prewrite { file, from: 1 << 20, len: 1 << 20 });
        ask(DiskOp::Close { file });
        ask(DiskOp::Sync { file });
        ask(DiskOp::Close { file });
        stage.act(ONE, effects);
        assert_eq!(fault(stage.disk_answer(tokens[11])), Fault::Io(9));
        assert_eq!(fault(stage.disk_answer(tokens[10])), Fault::Io(9));
        finished(stage.disk_answer(tokens[9]));
        // All others are there already.
        for token in &tokens[..9] {
            stage.disk_answer(*token).unwrap();
        }
        let bytes = file_bytes(&stage.dir.join(format!("f{round}")));
        assert_eq!(bytes.len(), 2 << 20);
        for at in 0..8usize {
            assert!(bytes[at * 65536..(at + 1) * 65536] == pattern(at as u8, 65536));
        }
    }
    stage.nothing_more();
    stage.end();
}

/// Many more operations than the ring has places, hot and cold mixed: each answered once.
#[test]
fn a_burst_is_answered_once_each() {
    let stage = Stage::with("burst", 1, |options| options.ring_entries = 16);
    let (file, _) = stage.open(1, "b", OpenMode::Create).unwrap();
    let mut tokens = Vec::new();
    let mut effects = Vec::new();
    for at in 0..500u64 {
        let op = match at % 10 {
            0 => DiskOp::Sync { file },
            1 => DiskOp::Space,
            2 => DiskOp::List { path: String::new() },
            _ => DiskOp::Write { file, at: at * 4096, buf: Blocks::zeroed(4096), durable: at % 3 == 0 },
        };
        tokens.push(stage.token());
        effects.push(Effect::Disk { token: tokens[at as usize], op });
    }
    stage.act(ONE, effects);
    for token in tokens {
        stage.disk_answer(token).unwrap();
    }
    stage.nothing_more();
    stage.end();
}

#[test]
fn a_file_system_without_direct_io_serves_too() {
    let memory = std::path::Path::new("/dev/shm");
    if !memory.is_dir() {
        eprintln!("no tmpfs here: nothing to test");
        return;
    }
    let dir = memory.join(format!("heddle-uring-{}", std::process::id()));
    let stage = Stage::with("tmpfs", 1, |options| options.cores[0].data_dir = dir.clone());
    let (file, _) = stage.open(1, "t", OpenMode::Create).unwrap();
    written(stage.disk(DiskOp::Write { file, at: 8192, buf: blocks(&pattern(4, 8192)), durable: true }));
    finished(stage.disk(DiskOp::Sync { file }));
    assert!(read(&stage, file, 8192, 16384) == pattern(4, 8192));
    finished(stage.disk(DiskOp::Allocate { file, from: 16384, len: 4096 }));
    assert_eq!(read(&stage, file, 16384, 4096), vec![0; 4096]);
    assert_eq!(fault(stage.open(2, "t", OpenMode::Create)), Fault::AlreadyExists);
    // tmpfs takes direct I/O from Linux 6.6 on; where it does not, that is said once.
    let probe = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(libc::O_DIRECT)
        .open(dir.join("probe"));
    let warned = |mail: &mut Mail| if let Mail::Warned(text) = mail { Some(text.clone()) } else { None };
    let warning = stage.within(Duration::from_millis(50), |_, mail| warned(mail));
    assert_eq!(warning.is_some(), probe.is_err(), "{warning:?}");
    assert!(warning.is_none_or(|text| text.starts_with("/dev/shm/") && text.contains("takes no direct I/O")));
    stage.end();
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_trace_tells_every_write_and_sync() {
    let durable = ["start 2 write t 0 4096 true 0", "end 2 ok"];
    check_trace("trace", Durability::Flag, &durable);
}

#[test]
fn the_trace_tells_the_flush_behind_a_durable_write() {
    let durable = ["start 2 write t 0 4096 false 0", "end 2 ok", "start 3 sync t", "end 3 ok"];
    check_trace("trace-flush", Durability::Flush, &durable);
}

/// `durable`: what a durable write leaves.
fn check_trace(name: &str, durability: Durability, durable: &[&str]) {
    let log = std::env::temp_dir().join(format!("heddle-uring-{name}-{}.log", std::process::id()));
    let stage = Stage::with(name, 1, |options| {
        options.trace_writes = Some(log.clone());
        options.durability = Some(durability);
    });
    let (file, _) = stage.open(1, "t", OpenMode::Create).unwrap();
    written(stage.disk(DiskOp::Write { file, at: 0, buf: blocks(&pattern(1, 4096)), durable: true }));
    written(stage.disk(DiskOp::Write { file, at: 8192, buf: blocks(&pattern(2, 8192)), durable: false }));
    finished(stage.disk(DiskOp::Sync { file }));
    finished(stage.disk(DiskOp::SyncDir { path: String::new() }));
    assert_eq!(fault(stage.disk(DiskOp::Remove { path: "none".to_owned() })), Fault::NotFound);
    stage.end();
    let lines = std::fs::read_to_string(&log).unwrap();
    let mut expected: Vec<String> =
        ["start 1 open Create t", "end 1 ok"].iter().chain(durable).map(ToString::to_string).collect();
    let rest = ["write t 8192 8192 false 4096", "sync t", "sync-dir ", "remove none"];
    for (what, number) in rest.iter().zip(expected.len() / 2 + 1..) {
        let well = if what.starts_with("remove") { "failed" } else { "ok" };
        expected.extend([format!("start {number} {what}"), format!("end {number} {well}")]);
    }
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    let data = log.with_extension("log.data");
    let contents = std::fs::read(&data).unwrap();
    assert!(contents[..4096] == pattern(1, 4096) && contents[4096..] == pattern(2, 8192));
    std::fs::remove_file(log).unwrap();
    std::fs::remove_file(data).unwrap();
}
