//! A record batch from a client, as it comes and with its CRC made right: every reader answers, none panics, and what
//! validation lets pass is read in full by everything behind it.
#![no_main]

use bytes::Bytes;
use heddle_model::{Codec, Offset};
use heddle_records::*;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    read_all_ways(data);
    if data.len() >= HEADER_BYTES {
        let mut right = data.to_vec();
        let length = (data.len() - 12) as i32;
        right[8..12].copy_from_slice(&length.to_be_bytes());
        right[16] = 2;
        let crc = crc32c::crc32c(&right[21..]);
        right[17..21].copy_from_slice(&crc.to_be_bytes());
        read_all_ways(&right);
    }
});

fn read_all_ways(bytes: &[u8]) {
    let batch = Bytes::copy_from_slice(bytes);
    let shape = validate_shape(bytes);
    let deep = inspect(&batch, LIMIT, |_, _| ());
    if let Ok(header) = shape {
        assert!(crc_is_right(bytes));
        assert_eq!(header.total_bytes(), bytes.len());
        if header.codec() == Some(Codec::None) {
            assert!(deep.is_ok(), "unpacked records are walked by validate_shape");
        }
        if deep.is_ok() {
            let payload = payload(&batch, LIMIT).expect("validated");
            assert_eq!(records(&payload, header.count).filter(Result::is_ok).count(), header.count as usize);
            assert_eq!(retain(&batch, 1, LIMIT, |all| vec![true; all.len()]).expect("validated"), batch);
            let bare = retain(&batch, 1, LIMIT, |all| vec![false; all.len()]).expect("validated");
            assert!(crc_is_right(&bare) && bare.len() == HEADER_BYTES);
            let plain = recode(&batch, Codec::None, 0, LIMIT).expect("validated");
            assert!(validate_shape(&plain).is_ok());
        }
    }
    let (start, limit) = (Offset(3), LIMIT);
    let _ = (find_timestamp(&batch, 5, start, limit), max_timestamp_record(&batch, start, limit), marker_kind(bytes));
    let walked = batches(bytes).map_while(Result::ok).map(|(_, batch)| batch.len()).sum::<usize>();
    assert!(walked <= bytes.len());
}
