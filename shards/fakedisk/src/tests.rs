use super::*;

const FILE: FileId = FileId { owner: 1, seq: 1 };

fn token(seq: u32) -> Token {
    Token { owner: 1, seq }
}

fn run(disk: &mut FakeDisk, op: DiskOp) -> Result<Done, Failed> {
    let token = token(u32::MAX);
    disk.submit(token, op);
    match disk.complete(token) {
        Event::Disk { result, .. } => result,
        _ => unreachable!("a disk gives disk events"),
    }
}

fn blocks(fill: u8, count: usize) -> Blocks {
    let mut blocks = Blocks::zeroed(count * BLOCK_BYTES);
    blocks.fill(fill);
    blocks
}

fn write(at: u64, fill: u8, durable: bool) -> DiskOp {
    DiskOp::Write { file: FILE, at: at * BLOCK_BYTES as u64, buf: blocks(fill, 1), durable }
}

/// A disk with one open file whose name is durable.
fn with_file() -> FakeDisk {
    let mut disk = FakeDisk::new(1);
    run(&mut disk, DiskOp::MakeDir { path: "a".into() }).unwrap();
    run(&mut disk, DiskOp::SyncDir { path: String::new() }).unwrap();
    run(&mut disk, DiskOp::Open { file: FILE, path: "a/f".into(), mode: OpenMode::Create }).unwrap();
    run(&mut disk, DiskOp::SyncDir { path: "a".into() }).unwrap();
    disk
}

fn sectors(disk: &FakeDisk, path: &str) -> Vec<u8> {
    disk.content(path).unwrap().chunks_exact(SECTOR_BYTES).map(|sector| sector[0]).collect()
}

#[test]
fn a_durable_write_vouches_for_its_own_bytes_only() {
    let mut before = with_file();
    run(&mut before, DiskOp::Prewrite { file: FILE, from: 0, len: 8192 }).unwrap();
    run(&mut before, write(0, 7, false)).unwrap();
    run(&mut before, write(1, 8, true)).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let mut disk = before.clone();
        disk.reseed(seed);
        disk.crash();
        let sectors = sectors(&disk, "a/f");
        assert!(sectors[8..].iter().all(|byte| *byte == 8), "the durable block is whole");
        assert!(sectors[..8].iter().all(|byte| *byte == 0 || *byte == 7));
        seen.insert(sectors[..8].iter().filter(|byte| **byte == 7).count());
    }
    assert!(seen.contains(&0) && seen.contains(&8) && seen.len() > 3, "torn in many ways: {seen:?}");
}

#[test]
fn a_sync_vouches_for_writes_completed_before_it_was_asked_for() {
    let mut disk = with_file();
    run(&mut disk, write(0, 1, false)).unwrap();
    disk.submit(token(1), DiskOp::Sync { file: FILE });
    run(&mut disk, write(1, 2, false)).unwrap();
    disk.complete(token(1));
    disk.crash_hard();
    assert_eq!(disk.content("a/f").unwrap(), vec![1; BLOCK_BYTES]);
}

#[test]
fn a_later_durable_write_hides_an_earlier_loose_one() {
    let mut before = with_file();
    run(&mut before, write(0, 1, false)).unwrap();
    run(&mut before, write(0, 2, true)).unwrap();
    for seed in 0..20 {
        let mut disk = before.clone();
        disk.reseed(seed);
        disk.crash();
        assert_eq!(disk.content("a/f").unwrap(), vec![2; BLOCK_BYTES]);
    }
}

#[test]
fn names_need_their_directory_synced() {
    let mut before = FakeDisk::new(3);
    run(&mut before, DiskOp::MakeDir { path: "a".into() }).unwrap();
    run(&mut before, DiskOp::Open { file: FILE, path: "a/f".into(), mode: OpenMode::Create }).unwrap();
    run(&mut before, write(0, 1, true)).unwrap();
    run(&mut before, DiskOp::SyncDir { path: "a".into() }).unwrap();
    let mut hard = before.clone();
    hard.crash_hard();
    assert_eq!(hard.paths(), vec![], "the directory itself was never synced");
    run(&mut before, DiskOp::SyncDir { path: String::new() }).unwrap();
    before.crash_hard();
    assert_eq!(before.content("a/f").unwrap(), vec![1; BLOCK_BYTES]);
}

#[test]
fn a_rename_happens_whole_or_not_at_all() {
    let mut before = with_file();
    run(&mut before, write(0, 1, true)).unwrap();
    run(&mut before, DiskOp::Rename { from: "a/f".into(), to: "a/g".into() }).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let mut disk = before.clone();
        disk.reseed(seed);
        disk.crash();
        let (old, new) = (disk.content("a/f").is_some(), disk.content("a/g").is_some());
        assert!(old != new);
        seen.insert(new);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_write_under_way_is_torn_by_kill_and_crash() {
    let mut before = with_file();
    run(&mut before, DiskOp::Prewrite { file: FILE, from: 0, len: 4096 }).unwrap();
    before.submit(token(1), write(0, 9, true));
    for kill in [false, true] {
        let mut counts = BTreeSet::new();
        for seed in 0..60 {
            let mut disk = before.clone();
            disk.reseed(seed);
            if kill {
                disk.kill()
            } else {
                disk.crash()
            }
            assert_eq!((disk.pending(), disk.open_files()), (0, 0));
            counts.insert(sectors(&disk, "a/f").iter().filter(|byte| **byte == 9).count());
        }
        assert!(counts.contains(&0) && counts.contains(&8) && counts.len() > 3, "{counts:?}");
    }
}

#[test]
fn a_write_can_be_torn_at_a_chosen_sector() {
    let mut before = with_file();
    run(&mut before, write(0, 1, true)).unwrap();
    before.submit(token(1), write(0, 9, true));
    for torn in 0..=8 {
        let mut disk = before.clone();
        disk.crash_torn(torn);
        let expected: Vec<u8> = (0..8).map(|sector| if sector < torn { 9 } else { 1 }).collect();
        assert_eq!(sectors(&disk, "a/f"), expected);
    }
}

#[test]
fn a_full_disk_refuses_growth_only_and_space_comes_back() {
    let mut disk = with_file();
    run(&mut disk, write(0, 1, true)).unwrap();
    disk.fill(4096);
    let refused = run(&mut disk, write(1, 2, true)).unwrap_err();
    assert_eq!((refused.fault, refused.buf.is_some()), (Fault::NoSpace, true));
    run(&mut disk, write(0, 3, true)).unwrap();
    disk.fill(u64::MAX);
    run(&mut disk, write(1, 2, true)).unwrap();
    assert_eq!(disk.used_bytes(), 8192);
}

#[test]
fn failing_files_fail_as_planned() {
    let mut disk = with_file();
    run(&mut disk, write(0, 1, true)).unwrap();
    disk.fail_writes_times("a/", 1);
    disk.fail_reads_times("a/f", 1);
    assert_eq!(run(&mut disk, write(0, 2, true)).unwrap_err().fault, Fault::Io(5));
    run(&mut disk, write(0, 2, true)).unwrap();
    let read = |disk: &mut FakeDisk| run(disk, DiskOp::Read { file: FILE, at: 0, buf: blocks(0, 2) });
    assert_eq!(read(&mut disk).unwrap_err().fault, Fault::Io(5));
    disk.corrupt("a/f", 5, 1);
    let Ok(Done::Read { buf, len }) = read(&mut disk) else { panic!("the read works again") };
    assert_eq!((len, buf[4], buf[5]), (4096, 2, 0xfd));
}

#[test]
fn a_close_comes_after_what_is_under_way() {
    for seed in 0..20 {
        let mut disk = with_file();
        disk.reseed(seed);
        disk.submit(token(1), write(0, 1, true));
        disk.submit(token(2), DiskOp::Close { file: FILE });
        let order = disk.run_all().into_iter().map(|event| match event {
            Event::Disk { token, result } => (token.seq, result.is_ok()),
            _ => unreachable!("a disk gives disk events"),
        });
        assert_eq!(order.collect::<Vec<_>>(), [(1, true), (2, true)]);
    }
}

#[test]
fn lists_and_removes_trees() {
    let mut disk = with_file();
    run(&mut disk, write(0, 1, true)).unwrap();
    run(&mut disk, DiskOp::Close { file: FILE }).unwrap();
    let Ok(Done::Listed(entries)) = run(&mut disk, DiskOp::List { path: "a".into() }) else { panic!("listed") };
    assert_eq!(entries, [Entry { name: "f".into(), len: 4096, is_dir: false }]);
    run(&mut disk, DiskOp::RemoveTree { path: "a".into() }).unwrap();
    run(&mut disk, DiskOp::RemoveTree { path: "a".into() }).unwrap();
    assert_eq!((disk.paths(), disk.used_bytes()), (vec![], 0));
    let Ok(Done::Listed(entries)) = run(&mut disk, DiskOp::List { path: "a".into() }) else { panic!("listed") };
    assert_eq!(entries, []);
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = |seed| {
        let mut disk = with_file();
        disk.reseed(seed);
        for seq in 0..10 {
            disk.submit(token(seq), write(u64::from(seq), seq as u8, seq % 2 == 0));
        }
        let order: Vec<String> = (0..6).map(|_| format!("{:?}", disk.step())).collect();
        disk.crash();
        (order, disk.content("a/f"))
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).0, run(6).0);
}
