//! A server on loopback that answers every request with the present input, over kept connections.

use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::runtime::{Builder, Runtime};

pub struct Impostor {
    runtime: Runtime,
    /// The whole of it, as bytes.
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Impostor {
    /// `variables` leads the client here; it is given the URL.
    pub fn start(variables: impl FnOnce(&str) -> Vec<(&'static str, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        let answer = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = Arc::clone(&shared);
                // A client that has gone away is no finding.
                thread::spawn(move || serve(stream, &answer).unwrap_or_default());
            }
        });
        for (name, value) in variables(&format!("http://127.0.0.1:{port}")) {
            // SAFETY: before there is any thread that reads the environment.
            unsafe { std::env::set_var(name, value) };
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        Self {
            runtime: runtime.expect("a runtime"),
            answer,
        }
    }

    pub fn hears<T>(&self, question: impl Future<Output = T>) -> T {
        self.runtime.block_on(question)
    }

    /// The first byte of the input chooses the status.
    pub fn answers(&self, input: &[u8]) {
        let (choice, body) = input.split_first().unwrap_or((&b'0', &[]));
        let status = [200, 400, 403, 404][usize::from(*choice % 4)];
        let mut answer =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend(body);
        *self.answer.lock().expect("nobody panics with it") = answer;
    }
}

fn serve(stream: TcpStream, answer: &Mutex<Vec<u8>>) -> std::io::Result<()> {
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
        let bytes = answer.lock().expect("nobody panics with it").clone();
        writer.write_all(&bytes)?;
    }
}
