//! What every driver owes a machine on the network.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use heddle_border::{Effect, Event, Fault, ListenerId};
use heddle_model::ShardId;
use support::{Mail, ONE, Stage, pattern, read_exact};

#[test]
fn bytes_go_in_and_out() {
    let stage = Stage::new("in-out", 1);
    let (mut stream, shard, conn) = stage.connect(stage.listen(ONE));
    stream.write_all(b"hello").unwrap();
    assert_eq!(stage.received(conn, 5), b"hello");
    let parts = vec![Bytes::from_static(b"good"), Bytes::new(), Bytes::from_static(b"bye")];
    let token = stage.send(shard, conn, parts);
    stage.sent(token);
    assert_eq!(read_exact(&mut stream, 7), b"goodbye");
    drop(stream);
    stage.closed(conn);
    stage.nothing_more();
    stage.end();
}

#[test]
fn an_address_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let stage = Stage::new("in-use", 1);
    stage.act(ONE, vec![Effect::Listen { listener: ListenerId(9), addr: taken.local_addr().unwrap() }]);
    let (listener, fault) = stage.expect("Listening", |_, mail| match mail {
        Mail::Saw(Event::Listening { listener, result: Err(fault) }) => Some((*listener, *fault)),
        _ => None,
    });
    assert_eq!((listener, fault), (ListenerId(9), Fault::Io(98)), "EADDRINUSE");
    stage.end();
}

#[test]
fn unlisten_refuses_newcomers_and_keeps_the_rest() {
    let stage = Stage::new("unlisten", 1);
    let addr = stage.listen(ONE);
    let (mut stream, _, conn) = stage.connect(addr);
    stage.act(ONE, vec![Effect::Unlisten { listener: ListenerId(1) }]);
    let refused = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        TcpStream::connect(addr).is_err()
    });
    assert!(refused);
    stream.write_all(b"still here").unwrap();
    assert_eq!(stage.received(conn, 10), b"still here");
    stage.end();
}

#[test]
fn connections_spread_over_the_cores() {
    let stage = Stage::new("spread", 2);
    let addr = stage.listen(ONE);
    let streams: Vec<_> = (0..20).map(|_| stage.connect(addr)).collect();
    let on = |shard| streams.iter().filter(|(_, s, _)| *s == ShardId(shard)).count();
    assert_eq!((on(0), on(1)), (10, 10));
    for (at, (stream, shard, conn)) in streams.iter().enumerate() {
        let mut stream: &TcpStream = stream;
        stream.write_all(&pattern(at as u8, 100)).unwrap();
        assert_eq!(stage.received(*conn, 100).len(), 100);
        let token = stage.send(*shard, *conn, vec![Bytes::from(pattern(at as u8, 50))]);
        stage.sent(token);
        let mut back = [0; 50];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back[..], pattern(at as u8, 50));
    }
    // Those that leave make room: the next ones go where fewer are left.
    let (leaving, staying): (Vec<_>, Vec<_>) = streams.into_iter().partition(|(_, shard, _)| *shard == ShardId(1));
    let gone: Vec<_> = leaving.iter().map(|(_, _, conn)| *conn).collect();
    drop(leaving);
    gone.into_iter().for_each(|conn| stage.closed(conn));
    std::thread::sleep(Duration::from_millis(50));
    let fresh: Vec<_> = (0..5).map(|_| stage.connect(addr)).collect();
    assert!(fresh.iter().all(|(_, shard, _)| *shard == ShardId(1)));
    drop(staying);
    stage.end();
}

#[test]
fn a_large_send_reaches_a_slow_reader_whole_and_in_order() {
    let stage = Stage::new("slow-reader", 1);
    let (mut stream, shard, conn) = stage.connect(stage.listen(ONE));
    let large = pattern(1, 20 * 1024 * 1024);
    let tokens = [
        stage.send(shard, conn, large.chunks(7_001).map(Bytes::copy_from_slice).collect()),
        stage.send(shard, conn, vec![Bytes::from(pattern(2, 1_000_000))]),
        stage.send(shard, conn, vec![Bytes::from_static(b"end")]),
    ];
    std::thread::sleep(Duration::from_millis(100));
    let sent_early = stage.within(Duration::from_millis(10), |_, mail| {
        matches!(mail, Mail::Saw(Event::Sent { token, .. }) if *token == tokens[0]).then_some(())
    });
    assert!(sent_early.is_none(), "nobody has read");
    assert!(read_exact(&mut stream, large.len()) == large);
    assert!(read_exact(&mut stream, 1_000_000) == pattern(2, 1_000_000));
    assert_eq!(read_exact(&mut stream, 3), b"end");
    tokens.into_iter().for_each(|token| stage.sent(token));
    stage.nothing_more();
    stage.end();
}

#[test]
fn a_large_request_arrives_whole_and_in_order() {
    let stage = Stage::new("large-in", 1);
    let (mut stream, _, conn) = stage.connect(stage.listen(ONE));
    let large = pattern(5, 30 * 1024 * 1024);
    let copy = large.clone();
    let writer = std::thread::spawn(move || stream.write_all(&copy).map(|()| stream));
    assert!(stage.received(conn, large.len()) == large);
    drop(writer.join().unwrap().unwrap());
    stage.closed(conn);
    stage.end();
}

#[test]
fn close_lets_out_what_was_sent_before() {
    let stage = Stage::new("close", 1);
    let (mut stream, shard, conn) = stage.connect(stage.listen(ONE));
    let large = pattern(3, 8 * 1024 * 1024);
    let (first, late) = (stage.token(), stage.token());
    stage.act(
        shard,
        vec![
            Effect::Send { conn, token: first, parts: vec![Bytes::from(large.clone())] },
            Effect::Close { conn },
            Effect::Send { conn, token: late, parts: vec![Bytes::from_static(b"too late")] },
        ],
    );
    stage.sent(late);
    // What the peer says meanwhile must not cost it our last bytes.
    stream.write_all(&pattern(0, 100_000)).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert!(got == large);
    stage.sent(first);
    stage.closed(conn);
    let after = stage.send(shard, conn, vec![Bytes::from_static(b"gone")]);
    stage.sent(after);
    stage.nothing_more();
    stage.end();
}

#[test]
fn a_peer_that_leaves_while_we_send_ends_everything_once() {
    let stage = Stage::new("peer-leaves", 1);
    let addr = stage.listen(ONE);
    let large = Bytes::from(vec![1; 3_000_000]);
    for round in 0..20 {
        let (stream, shard, conn) = stage.connect(addr);
        let tokens: Vec<_> = (0..5).map(|_| stage.send(shard, conn, vec![large.clone()])).collect();
        if round % 2 == 0 {
            stream.shutdown(Shutdown::Both).unwrap();
        }
        drop(stream);
        tokens.into_iter().for_each(|token| stage.sent(token));
        stage.closed(conn);
    }
    stage.nothing_more();
    stage.end();
}

#[test]
fn both_sides_close_at_once() {
    let stage = Stage::new("both-close", 1);
    let addr = stage.listen(ONE);
    for _ in 0..50 {
        let (stream, shard, conn) = stage.connect(addr);
        let token = stage.token();
        stage.act(
            shard,
            vec![
                Effect::Send { conn, token, parts: vec![Bytes::from_static(b"x")] },
                Effect::Close { conn },
                Effect::Close { conn },
            ],
        );
        drop(stream);
        stage.sent(token);
        stage.closed(conn);
    }
    stage.nothing_more();
    stage.end();
}

/// Over and back again while bytes pour in: none is lost, none comes twice, and the order holds.
#[test]
fn a_connection_moves_with_its_stream() {
    let stage = Stage::new("moves", 2);
    let (mut stream, mut shard, mut conn) = stage.connect(stage.listen(ONE));
    let all = pattern(4, 6_000_000);
    let copy = all.clone();
    let writer = std::thread::spawn(move || {
        for piece in copy.chunks(500) {
            stream.write_all(piece).unwrap();
            let pause = Instant::now();
            while pause.elapsed() < Duration::from_micros(20) {}
        }
        stream
    });
    let (mut got, mut moves) = (Vec::new(), 0);
    while got.len() < all.len() {
        got.extend(stage.next_of(shard, conn).expect("it is open"));
        if all.len() - got.len() < 100_000 {
            continue;
        }
        moves += 1;
        let to = ShardId(1 - shard.0);
        let unread = vec![Bytes::from_static(b"un"), Bytes::new(), Bytes::from_static(b"read")];
        let effects = vec![Effect::Move { conn, to, unread }];
        stage.running().mail(shard, if moves % 2 == 0 { Mail::Do(effects) } else { Mail::DoBlindly(effects) });
        // What its machine was told before it let go.
        got.extend(stage.rest(shard, conn));
        (shard, conn) = stage.expect("Opened", |at, mail| match mail {
            Mail::Saw(Event::Opened { conn, moves: told, .. }) if *told == moves => Some((at, *conn)),
            _ => None,
        });
        assert_eq!(shard, to);
        // What its core had not begun comes first.
        assert_eq!(stage.next_of(shard, conn).as_deref(), Some(&b"un"[..]));
        assert_eq!(stage.next_of(shard, conn).as_deref(), Some(&b"read"[..]));
    }
    assert!(got == all, "after {moves} moves");
    assert!(moves >= 10, "{moves}");
    let mut stream = writer.join().unwrap();
    let token = stage.send(shard, conn, vec![Bytes::from_static(b"bye")]);
    stage.sent(token);
    assert_eq!(read_exact(&mut stream, 3), b"bye");
    drop(stream);
    assert_eq!(stage.rest(shard, conn), b"");
    stage.nothing_more();
    stage.end();
}

#[test]
fn a_peer_that_leaves_while_its_connection_moves_ends_it_once() {
    let stage = Stage::new("leaves-moving", 2);
    let addr = stage.listen(ONE);
    for round in 0..50 {
        let (stream, shard, conn) = stage.connect(addr);
        let to = ShardId(1 - shard.0);
        if round % 2 == 0 {
            // Paused: there is no receive to wait for.
            stage.act(shard, vec![Effect::Pause { conn }]);
        }
        stage.act(shard, vec![Effect::Move { conn, to, unread: Vec::new() }]);
        drop(stream);
        stage.rest(shard, conn);
        // Where it arrived before its peer was gone, it ends there.
        let there = stage.within(Duration::from_millis(100), |at, mail| match mail {
            Mail::Saw(Event::Opened { conn, .. }) if at == to => Some(*conn),
            _ => None,
        });
        if let Some(conn) = there {
            stage.rest(to, conn);
        }
    }
    stage.nothing_more();
    // Nobody was forgotten in the count: the cores still take turns.
    let spread: Vec<_> = (0..4).map(|_| stage.connect(addr)).collect();
    let on = |shard| spread.iter().filter(|(_, at, _)| *at == ShardId(shard)).count();
    assert_eq!((on(0), on(1)), (2, 2));
    drop(spread);
    stage.end();
}

#[test]
fn paused_reads_nothing_and_resumed_goes_on() {
    let stage = Stage::new("pause", 1);
    let (mut stream, shard, conn) = stage.connect(stage.listen(ONE));
    stream.write_all(b"first").unwrap();
    assert_eq!(stage.received(conn, 5), b"first");
    stage.act(shard, vec![Effect::Pause { conn }]);
    std::thread::sleep(Duration::from_millis(50));
    stream.write_all(b"second").unwrap();
    let early = stage
        .within(Duration::from_millis(100), |_, mail| matches!(mail, Mail::Saw(Event::Received { .. })).then_some(()));
    assert!(early.is_none(), "it is paused");
    // In whatever order they come, the last word counts and nothing is lost.
    stage.act(shard, vec![Effect::Resume { conn }, Effect::Pause { conn }, Effect::Resume { conn }]);
    assert_eq!(stage.received(conn, 6), b"second");
    let large = pattern(9, 4 * 1024 * 1024);
    let copy = large.clone();
    let writer = std::thread::spawn(move || stream.write_all(&copy).map(|()| stream));
    for _ in 0..200 {
        stage.act(shard, vec![Effect::Pause { conn }]);
        stage.act(shard, vec![Effect::Resume { conn }]);
    }
    assert!(stage.received(conn, large.len()) == large);
    drop(writer.join().unwrap().unwrap());
    stage.closed(conn);
    stage.end();
}

#[test]
fn a_flooding_paused_peer_can_be_closed() {
    let stage = Stage::new("paused-close", 1);
    let (mut stream, shard, conn) = stage.connect(stage.listen(ONE));
    stage.act(shard, vec![Effect::Pause { conn }]);
    std::thread::sleep(Duration::from_millis(50));
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while stream.write_all(&[0; 65536]).is_ok() {}
    stage.act(shard, vec![Effect::Close { conn }]);
    stage.closed(conn);
    stage.nothing_more();
    stage.end();
}

/// Hundreds of connections with pipelined messages, more than there are receive buffers.
#[test]
fn echo_under_load() {
    let stage = Stage::with("echo", 2, |options| {
        options.receive_buffers = 8;
        options.receive_buffer_bytes = 4096;
    });
    let addr = stage.listen(ONE);
    let client = std::thread::spawn(move || {
        let mut streams: Vec<_> = (0..200).map(|_| TcpStream::connect(addr).unwrap()).collect();
        for round in 0..3u8 {
            for (at, stream) in streams.iter_mut().enumerate() {
                stream.write_all(&pattern(at as u8 ^ round, 3000)).unwrap();
            }
            for (at, stream) in streams.iter_mut().enumerate() {
                stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
                assert!(read_exact(stream, 3000) == pattern(at as u8 ^ round, 3000));
            }
        }
    });
    let (mut open, mut closed, mut answered) = (0, 0, 0);
    let mut asked = 0;
    while closed < 200 {
        let (shard, conn, bytes) = stage.expect("traffic", |shard, mail| match mail {
            Mail::Saw(Event::Opened { .. }) => {
                open += 1;
                Some((shard, None, Bytes::new()))
            }
            Mail::Saw(Event::Closed { .. }) => {
                closed += 1;
                Some((shard, None, Bytes::new()))
            }
            Mail::Saw(Event::Sent { .. }) => {
                answered += 1;
                Some((shard, None, Bytes::new()))
            }
            Mail::Saw(Event::Received { conn, bytes }) => Some((shard, Some(*conn), bytes.clone())),
            _ => None,
        });
        if let Some(conn) = conn {
            asked += 1;
            stage.send(shard, conn, vec![bytes]);
        }
    }
    client.join().unwrap();
    assert_eq!((open, answered), (200, asked));
    let moved: u64 = stage.stats().iter().map(|core| core.received_bytes).sum();
    assert_eq!(moved, 200 * 3 * 3000);
    stage.end();
}
