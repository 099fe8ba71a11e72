//! One blocking or non-blocking connection's framing: requests of the crate `kafka-protocol` out, response frames in.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    ProduceRequest, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

pub const CLIENT_ID: &str = "heddle-load";
/// A response larger than this is a broken broker.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// The versions spoken with one broker: ours, or the broker's newest if that is older.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    pub produce: i16,
    pub fetch: i16,
    pub metadata: i16,
    pub list_offsets: i16,
    pub create_topics: i16,
    pub init_producer_id: i16,
}

impl Versions {
    /// Before asking: all brokers answer ApiVersions 0. Topics are named, not numbered, so that every broker can follow.
    pub fn agree(connection: &mut Blocking) -> io::Result<Versions> {
        let response = connection.call(&ApiVersionsRequest::default(), 0)?;
        let agreed = |key: i16, ours: i16| {
            let theirs = response.api_keys.iter().find(|api| api.api_key == key);
            theirs.map(|api| ours.min(api.max_version)).ok_or_else(|| io::Error::other(format!("no API {key}")))
        };
        Ok(Versions {
            produce: agreed(ProduceRequest::KEY, 12)?,
            fetch: agreed(FetchRequest::KEY, 12)?,
            metadata: agreed(MetadataRequest::KEY, 12)?,
            list_offsets: agreed(ListOffsetsRequest::KEY, 7)?,
            create_topics: agreed(CreateTopicsRequest::KEY, 7)?,
            init_producer_id: agreed(InitProducerIdRequest::KEY, 4).unwrap_or(-1),
        })
    }
}

/// A request frame, size prefix included.
pub fn frame<R: Request>(request: &R, version: i16, correlation: i32) -> io::Result<BytesMut> {
    let mut out = BytesMut::new();
    out.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    header.encode(&mut out, R::header_version(version)).map_err(io::Error::other)?;
    request.encode(&mut out, version).map_err(io::Error::other)?;
    let size = i32::try_from(out.len() - 4).map_err(io::Error::other)?;
    out[..4].copy_from_slice(&size.to_be_bytes());
    Ok(out)
}

/// A response frame without its size prefix: correlation id and body.
pub fn response<R: Request>(mut frame: Bytes, version: i16) -> io::Result<(i32, R::Response)> {
    let header_version = <R::Response as HeaderVersion>::header_version(version);
    let header = ResponseHeader::decode(&mut frame, header_version).map_err(io::Error::other)?;
    let body = R::Response::decode(&mut frame, version).map_err(io::Error::other)?;
    Ok((header.correlation_id, body))
}

/// Takes one whole frame off the front, without its size prefix.
pub fn take_frame(received: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(size) = received.first_chunk::<4>() else { return Ok(None) };
    let size = frame_bytes(*size)?;
    if received.len() - 4 < size {
        received.reserve(4 + size - received.len());
        return Ok(None);
    }
    received.advance(4);
    Ok(Some(received.split_to(size).freeze()))
}

fn frame_bytes(size: [u8; 4]) -> io::Result<usize> {
    let size = usize::try_from(i32::from_be_bytes(size)).unwrap_or(usize::MAX);
    if size > FRAME_BYTES_MAX { Err(io::Error::other(format!("a response frame of {size} bytes"))) } else { Ok(size) }
}

pub fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::other(format!("{address} names no address"));
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One request at a time.
pub struct Blocking {
    stream: TcpStream,
    correlation: i32,
}

impl Blocking {
    pub fn connect(address: &str) -> io::Result<Blocking> {
        let stream = connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Blocking { stream, correlation: 0 })
    }

    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.correlation += 1;
        self.stream.write_all(&frame(request, version, self.correlation)?)?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut body = vec![0; frame_bytes(size)?];
        self.stream.read_exact(&mut body)?;
        let (correlation, body) = response::<R>(Bytes::from(body), version)?;
        if correlation != self.correlation {
            return Err(io::Error::other(format!("answer {correlation} to request {}", self.correlation)));
        }
        Ok(body)
    }
}
