//! Record batches: CRC, validation, walking, building, codecs. Each line gives the time of one call (median, p99) and
//! what that makes per second, beside a plain copy of the same bytes in the same run.
//!
//! `cargo run --release -p heddle-benches --bin records [-- NAME]`: only lines whose name contains NAME.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use heddle_model::Codec;
use heddle_records::*;

const LIMIT: usize = 64 << 20;
const TIME_PER_LINE: Duration = Duration::from_millis(300);

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let noise = noise();
    println!("{:<34} {:>9} {:>12} {:>12} {:>11}", "what", "bytes", "p50 ns", "p99 ns", "MiB/s");
    for (name, count, value_bytes) in
        [("1 x 100 B", 1, 100), ("1 x 1 KiB", 1, 1024), ("100 x 100 B", 100, 100), ("1000 x 1 KiB", 1000, 1024)]
    {
        let batch = batch(count, value_bytes, &noise, Codec::None, 0);
        let bytes = batch.len();
        let line = |what: &str, act: &mut dyn FnMut()| measure(&only, &format!("{what}, {name}"), bytes, act);
        let mut copy = vec![0; bytes];
        line("copy (baseline)", &mut || black_box(&mut copy).copy_from_slice(black_box(&batch)));
        line("header", &mut || assert!(black_box(Header::read(black_box(&batch))).is_ok()));
        line("crc", &mut || assert!(crc_is_right(black_box(&batch))));
        line("validate_shape", &mut || assert!(validate_shape(black_box(&batch)).is_ok()));
        let payload = payload(&batch, LIMIT).expect("our own batch");
        line("walk", &mut || {
            let bytes = records(black_box(&payload), count)
                .map(|record| record.map_or(0, |it| it.value.map_or(0, <[u8]>::len)));
            assert_eq!(bytes.sum::<usize>(), count as usize * value_bytes);
        });
        let mut stamped = batch.to_vec();
        line("set_append_time", &mut || set_append_time(black_box(&mut stamped), 7));
        line("build", &mut || drop(black_box(self::batch(count, value_bytes, &noise, Codec::None, 0))));
    }
    for (codec, level) in [(Codec::Gzip, -1), (Codec::Snappy, 0), (Codec::Lz4, 0), (Codec::Zstd, 3)] {
        let packed = batch(1000, 1024, &noise, codec, level);
        let unpacked = payload(&packed, LIMIT).expect("our own batch");
        let bytes = unpacked.len();
        let ratio = bytes as f64 / packed.len() as f64;
        measure(&only, &format!("unpack {codec:?} (ratio {ratio:.1})"), bytes, &mut || {
            assert_eq!(payload(black_box(&packed), LIMIT).map(|it| it.len()), Ok(bytes));
        });
        measure(&only, &format!("inspect {codec:?} (ratio {ratio:.1})"), bytes, &mut || {
            assert!(inspect(black_box(&packed), LIMIT, |_, _| ()).is_ok());
        });
        measure(&only, &format!("pack {codec:?} level {level}"), bytes, &mut || {
            black_box(compress(black_box(&unpacked), codec, level));
        });
    }
}

/// A batch of `count` records, each a different piece of `noise`.
fn batch(count: i32, value_bytes: usize, noise: &[u8], codec: Codec, level: i32) -> Bytes {
    let mut builder = BatchBuilder::new(1_700_000_000_000);
    for i in 0..count as usize {
        let value = &noise[i * 1061 % (noise.len() - value_bytes)..][..value_bytes];
        builder.push(1_700_000_000_000 + i as i64, Some(b"some-key"), Some(value), &[]);
    }
    builder.codec(codec, level).build()
}

/// Half noise, half text, so that codecs have something to do.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut noise = vec![0; 1 << 20];
    for (at, byte) in noise.iter_mut().enumerate() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = if at % 64 < 32 { b'a' + (at % 26) as u8 } else { state as u8 };
    }
    noise
}

/// Times `act` in groups long enough for the clock, for a fixed time after a short warm-up.
fn measure(only: &str, what: &str, bytes: usize, act: &mut dyn FnMut()) {
    if !what.contains(only) {
        return;
    }
    let mut once = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        act();
        once = once.min(start.elapsed());
    }
    let group = (Duration::from_micros(5).as_nanos() / once.as_nanos().max(1)).max(1) as u32;
    let mut nanos = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order");
    let begin = Instant::now();
    while begin.elapsed() < TIME_PER_LINE {
        let start = Instant::now();
        for _ in 0..group {
            act();
        }
        nanos.saturating_record((start.elapsed() / group).as_nanos() as u64);
    }
    let p50 = nanos.value_at_quantile(0.5).max(1);
    let rate = bytes as f64 / p50 as f64 * 1e9 / f64::from(1 << 20);
    println!("{what:<34} {bytes:>9} {p50:>12} {:>12} {rate:>11.0}", nanos.value_at_quantile(0.99));
}
