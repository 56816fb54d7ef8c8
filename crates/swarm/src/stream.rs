//! The socket under a connection of the load, plain or TLS. As with a socket, what cannot go on is
//! `WouldBlock`; an event then says that it can.

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use rustls_platform_verifier::ConfigVerifierExt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// Sealed bytes that wait for the socket; more plain text is not taken.
const SEALED_BYTES_MAX: usize = 256 * 1024;

/// What every connection over TLS shares.
#[derive(Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Trust {
    /// The certificates that the system trusts (`SSL_CERT_FILE` where it is set), for a server of
    /// this name.
    pub fn system(name: &str) -> Result<Trust, String> {
        let config = ClientConfig::with_platform_verifier().map_err(|error| error.to_string())?;
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        Ok(Trust { config: Arc::new(config), name })
    }
}

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

pub struct Tls {
    socket: TcpStream,
    connection: ClientConnection,
}

impl Stream {
    pub fn new(socket: TcpStream, trust: Option<&Trust>) -> Result<Stream, String> {
        let Some(trust) = trust else { return Ok(Stream::Plain(socket)) };
        let connection = ClientConnection::new(Arc::clone(&trust.config), trust.name.clone());
        let mut connection = connection.map_err(|error| error.to_string())?;
        connection.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Ok(Stream::Tls(Box::new(Tls { socket, connection })))
    }

    pub fn socket(&mut self) -> &mut TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &mut tls.socket,
        }
    }

    /// Some bytes, or 0 at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    /// Moves on what was taken and is held inside, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

impl Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                outcome => return outcome,
            }
            if self.connection.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            let outcome = self.connection.process_new_packets();
            // The handshake's next word, or the alert that says why there is none.
            self.flush()?;
            outcome.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let taken = self.connection.writer().write(bytes)?;
        self.flush()?;
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
