//! Addresses as people write them: `HOST:PORT`, the host by name or number.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// As written: a name, or an address.
    pub host: String,
    pub addr: SocketAddr,
}

impl Address {
    /// Resolve `text`; of a name's addresses IPv4 comes first, as Kafka's listeners do it. `name` is what an error calls
    /// it.
    ///
    /// # Errors
    /// If it is no host and port, or the host's name means nothing here.
    pub fn resolve(name: &str, text: &str) -> Result<Address, String> {
        let (host, port) = split(name, text)?;
        let found = (host.as_str(), port).to_socket_addrs();
        let found: Vec<SocketAddr> = found
            .map_err(|e| format!("{name}: {host} cannot be resolved ({e}); expected HOST:PORT, as 127.0.0.1:9092"))?
            .collect();
        let first = found.iter().find(|addr| addr.is_ipv4()).or(found.first());
        first.map(|addr| Address { host, addr: *addr }).ok_or_else(|| format!("{name}: no address, expected HOST:PORT"))
    }

    /// Port 0 becomes a free port now, because clients are told a port before the cores listen on it.
    pub fn with_port(mut self, name: &str) -> Result<Address, String> {
        if self.addr.port() == 0 {
            let found = TcpListener::bind(self.addr).and_then(|listener| listener.local_addr());
            self.addr = found.map_err(|e| format!("{name}: no free port: {e}"))?;
        }
        Ok(self)
    }
}

/// Host and port, an IPv6 host without its brackets.
///
/// # Errors
/// If there is no host, or no port.
pub fn split(name: &str, text: &str) -> Result<(String, u16), String> {
    let expected = || format!("{name}: expected HOST:PORT, as broker1.example:9092");
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().map_err(|_| expected())?;
    if host.is_empty() { Err(expected()) } else { Ok((host.into(), port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_addresses() {
        let resolved = |text| Address::resolve("it", text).map(|address| (address.host, address.addr.to_string()));
        assert_eq!(resolved("127.0.0.1:9092"), Ok(("127.0.0.1".into(), "127.0.0.1:9092".into())));
        assert_eq!(resolved("[::1]:9092"), Ok(("::1".into(), "[::1]:9092".into())));
        assert_eq!(resolved("localhost:9092"), Ok(("localhost".into(), "127.0.0.1:9092".into())));
        for wrong in ["localhost", "localhost:", ":9092", "localhost:ninety", "no-such-host.invalid:1"] {
            let text = resolved(wrong).unwrap_err();
            assert!(text.starts_with("it: ") && text.contains("HOST:PORT"), "{text}");
        }
        let any = Address::resolve("it", "127.0.0.1:0").unwrap().with_port("it").unwrap();
        assert_ne!(any.addr.port(), 0);
    }
}
