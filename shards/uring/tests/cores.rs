//! Mail, time, work, stopping: what every driver owes a machine beside network and disk.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heddle_border::{DiskOp, Effect, Event, FileId, ListenerId, OpenMode, Product, Token};
use heddle_model::ShardId;
use heddle_uring::{CoreConfig, FromCore, Options, start};
use nix::sys::resource::{Resource, setrlimit};
use support::{Mail, ONE, Puppet, Stage};

const TWO: ShardId = ShardId(1);

#[test]
fn mail_arrives_once_and_in_order() {
    let stage = Stage::new("mail", 3);
    let pairs = [(ONE, TWO), (TWO, ONE), (ONE, ONE), (ShardId(2), ONE), (TWO, ShardId(2))];
    for (from, to) in pairs {
        for _ in 0..3 {
            stage.running().mail(from, Mail::Write { to, letters: 1000 });
        }
    }
    for (from, to) in pairs {
        for number in (0..1000).chain(0..1000).chain(0..1000) {
            let got = stage.expect("a letter", |shard, mail| match mail {
                Mail::SawLetter { from: sender, number } if (*sender, shard) == (from, to) => Some(*number),
                _ => None,
            });
            assert_eq!(got, number, "from {from} to {to}");
        }
    }
    stage.nothing_more();
    stage.end();
}

/// Each letter wakes a core that sleeps.
#[test]
fn sleepers_are_woken() {
    let stage = Stage::new("sleepers", 2);
    let start = Instant::now();
    for round in 0..300 {
        let (from, to) = if round % 2 == 0 { (ONE, TWO) } else { (TWO, ONE) };
        stage.running().mail(from, Mail::Write { to, letters: 1 });
        stage.expect("a letter", |_, mail| matches!(mail, Mail::SawLetter { .. }).then_some(()));
    }
    assert!(start.elapsed() < Duration::from_secs(3), "no wake-up was lost: {:?}", start.elapsed());
    let stats = stage.stats();
    assert!(stats.iter().all(|core| core.mail_in >= 150), "{stats:?}");
    stage.end();
}

#[test]
fn a_turn_comes_at_its_time() {
    let stage = Stage::new("alarm", 1);
    for us in [0, 500, 20_000] {
        stage.running().mail(ONE, Mail::Wake(us));
        let late = stage.expect("Woke", |_, mail| match mail {
            Mail::Woke { planned, at } => Some(at.since_us(*planned)),
            _ => None,
        });
        assert!(late < 500_000, "{late} us late");
    }
    // Also while the executor has the thread.
    let token = stage.token();
    let file = FileId { owner: 1, seq: 1 };
    stage.open(1, "w", OpenMode::Create).unwrap();
    let op = DiskOp::Prewrite { file: FileId { owner: 3, ..file }, from: 0, len: 64 << 20 };
    stage.act(ONE, vec![Effect::Disk { token, op }]);
    stage.running().mail(ONE, Mail::Wake(1_000));
    stage.expect("Woke", |_, mail| matches!(mail, Mail::Woke { .. }).then_some(()));
    stage.disk_answer(token).unwrap();
    stage.end();
}

/// Neither starves the other.
#[test]
fn cold_work_goes_on_beside_a_busy_loop() {
    let stage = Stage::new("busy", 1);
    let start = Instant::now();
    stage.running().mail(ONE, Mail::Toil(1_000_000));
    let (file, _) = stage.open(1, "b", OpenMode::Create).unwrap();
    stage.disk(DiskOp::Prewrite { file, from: 0, len: 4 << 20 }).unwrap();
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    assert!(stage.stats()[0].turns > 1_000, "{:?}", stage.stats());
    stage.end();
}

#[test]
fn an_idle_core_sleeps() {
    let stage = Stage::with("idle", 1, |options| {
        options.cores[0].cpu = Some(0);
        options.cores[0].spin_us = 200;
    });
    stage.listen(ONE);
    std::thread::sleep(Duration::from_millis(50));
    let before = stage.stats()[0];
    std::thread::sleep(Duration::from_millis(300));
    let after = stage.stats()[0];
    assert!(after.turns - before.turns <= 1 && after.parks - before.parks <= 1, "{before:?} {after:?}");
    stage.end();
}

fn worked(stage: &Stage, of: Token) -> Option<&'static str> {
    stage.expect("Worked", |_, mail| match mail {
        Mail::Saw(Event::Worked { token, result }) if *token == of => Some(result.take().map(Product::take)),
        _ => None,
    })
}

#[test]
fn work_is_done_off_the_turn_and_survives_its_panics() {
    let stage = Stage::new("work", 2);
    let (slow, bad) = (stage.token(), stage.token());
    let sleep = Box::new(|| {
        std::thread::sleep(Duration::from_millis(200));
        Product::new("slow")
    });
    let panics = Box::new(|| panic!("planted: the test wants this panic"));
    stage.act(TWO, vec![Effect::Work { token: slow, run: sleep }, Effect::Work { token: bad, run: panics }]);
    assert_eq!(worked(&stage, bad), None);
    for _ in 0..20 {
        let token = stage.token();
        stage.act(ONE, vec![Effect::Work { token, run: Box::new(|| Product::new("quick")) }]);
        assert_eq!(worked(&stage, token), Some("quick"));
    }
    assert_eq!(worked(&stage, slow), Some("slow"));
    stage.nothing_more();
    stage.end();
}

/// A core may halt whatever is under way; the others go on.
#[test]
fn halt_ends_a_busy_core() {
    let stage = Stage::new("halt", 2);
    let addr = stage.listen(ONE);
    let mut clients: Vec<_> = (0..10).map(|_| stage.connect(addr)).collect();
    let (file, _) = stage.open(1, "h", OpenMode::Create).unwrap();
    let mut effects: Vec<Effect> = (0..20)
        .map(|_| Effect::Disk { token: stage.token(), op: DiskOp::Prewrite { file, from: 0, len: 1 << 20 } })
        .collect();
    for (_, shard, conn) in &clients {
        if *shard == ONE {
            let parts = vec![Bytes::from(vec![1; 10_000_000])];
            effects.push(Effect::Send { conn: *conn, token: stage.token(), parts });
        }
    }
    effects.push(Effect::Halt);
    stage.act(ONE, effects);
    let (_, shard, conn) = clients.iter().find(|(_, shard, _)| *shard == TWO).unwrap();
    let token = stage.send(*shard, *conn, vec![Bytes::from_static(b"alive")]);
    stage.sent(token);
    // Mail to the halted core is dropped.
    stage.running().mail(TWO, Mail::Write { to: ONE, letters: 10 });
    clients.clear();
    stage.act(TWO, vec![Effect::Halt]);
    stage.join();
}

/// Run the ignored test `name` of this file in a process of its own.
fn in_a_process(name: &str) -> Output {
    let this = std::env::current_exe().unwrap();
    Command::new(this).args(["--exact", name, "--ignored", "--nocapture"]).output().unwrap()
}

#[test]
fn a_core_that_panics_takes_the_process_along() {
    let output = in_a_process("panics");
    assert_eq!(output.status.signal(), Some(6), "SIGABRT: {output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("core 1 panicked"), "{said}");
}

#[test]
#[ignore = "run by a_core_that_panics_takes_the_process_along"]
fn panics() {
    let stage = Stage::new("panics", 2);
    // The puppet has no use for such mail and panics.
    stage.running().mail(TWO, Mail::SawLetter { from: ONE, number: 1 });
    std::thread::sleep(Duration::from_secs(5));
}

#[test]
fn a_process_short_of_descriptors_goes_on_when_some_are_free() {
    let output = in_a_process("short_of_descriptors");
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "run by a_process_short_of_descriptors_goes_on_when_some_are_free"]
fn short_of_descriptors() {
    let stage = Stage::new("descriptors", 1);
    let addr = stage.listen(ONE);
    let (first, ..) = stage.connect(addr);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(Resource::RLIMIT_NOFILE, open + 10, open + 10).unwrap();
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(addr) {
        clients.push(client);
    }
    assert!(clients.len() >= 5, "{}", clients.len());
    let turns = stage.stats()[0].turns;
    std::thread::sleep(Duration::from_millis(300));
    let busy = stage.stats()[0];
    assert!(busy.turns - turns < 20, "it does not try in a loop");
    drop((first, clients));
    std::thread::sleep(Duration::from_millis(300));
    let (mut stream, _, conn) = stage.connect(addr);
    stream.write_all(b"again").unwrap();
    assert_eq!(stage.received(conn, 5), b"again");
    stage.end();
}

#[test]
fn what_cannot_start_says_why() {
    let core = |shard, cpu: Option<usize>, dir: &str| CoreConfig {
        shard: ShardId(shard),
        cpu,
        spin_us: 0,
        data_dir: dir.into(),
    };
    let dir = std::env::temp_dir();
    let (dir, file) = (dir.to_str().unwrap(), "/proc/self/status");
    let try_start = |cores| start(Options::new(cores), |_| Puppet::default(), |_, _| {}).map(|_| ());
    for (cores, said) in [
        (vec![], "at least one"),
        (vec![core(1, None, dir)], "numbered from 0"),
        (vec![core(0, None, dir), core(1, Some(100_000), dir)], "core 1"),
        (vec![core(0, None, dir), core(1, None, "/no/such/place")], "/no/such/place: No such file"),
        (vec![core(0, None, file)], "/proc/self/status: not a directory"),
    ] {
        let error = try_start(cores.clone()).expect_err("it cannot start").to_string();
        assert!(error.contains(said), "{error}, for {cores:?}");
    }
}

/// The gate is open, the other cores run, and one finds that it cannot begin: nobody waits for it for ever.
#[test]
fn a_core_that_cannot_begin_says_so() {
    let output = in_a_process("cannot_begin");
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "run by a_core_that_cannot_begin_says_so"]
fn cannot_begin() {
    let core = CoreConfig { shard: ONE, cpu: None, spin_us: 0, data_dir: std::env::temp_dir() };
    let (tell, told) = mpsc::channel();
    let make = |_| {
        // What the core opens next is one too many.
        setrlimit(Resource::RLIMIT_NOFILE, 0, 0).unwrap();
        Puppet::default()
    };
    let running = start(Options::new(vec![core]), make, move |from, said| drop(tell.send((from, said)))).unwrap();
    match told.recv_timeout(Duration::from_secs(10)) {
        Ok((ONE, FromCore::Ended(Err(text)))) => {
            assert!(text.contains("core 0: ") && text.contains("Too many"), "{text}")
        }
        _ => panic!("it does not say how it ended"),
    }
    assert!(running.join().unwrap_err().contains("Too many"));
}

#[test]
fn all_of_it_can_start_again() {
    for _ in 0..3 {
        let stage = Stage::new("again", 2);
        let addr = stage.listen(TWO);
        let (_stream, shard, conn) = stage.connect(addr);
        stage.act(TWO, vec![Effect::Unlisten { listener: ListenerId(1) }]);
        let token = stage.send(shard, conn, vec![Bytes::from_static(b"x")]);
        stage.sent(token);
        stage.end();
    }
}
