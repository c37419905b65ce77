//! A server on loopback that answers every request with the present input, over kept connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A status, and a body.
#[derive(Default)]
struct Answer(Vec<u8>);

pub struct Impostor {
    pub url: String,
    answer: Arc<Mutex<Answer>>,
}

impl Impostor {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        let answer = Arc::new(Mutex::new(Answer::default()));
        let shared = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = Arc::clone(&shared);
                // A client that has gone away is no finding.
                thread::spawn(move || serve(stream, &answer).unwrap_or_default());
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            answer,
        }
    }

    /// The first byte of the input chooses the status.
    pub fn answers(&self, input: &[u8]) {
        let (choice, body) = input.split_first().unwrap_or((&b'0', &[]));
        let status = [200, 400, 403, 404][usize::from(*choice % 4)];
        let mut answer =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend(body);
        *self.answer.lock().expect("nobody panics with it") = Answer(answer);
    }
}

fn serve(stream: TcpStream, answer: &Mutex<Answer>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        let bytes = answer.lock().expect("nobody panics with it").0.clone();
        writer.write_all(&bytes)?;
    }
}
