//! Letters through a real SMTP conversation on loopback, and into a folder.

use crate::{Letter, MailSettings, Mailer, Smtp, Tls};
use std::path::PathBuf;
use std::time::Duration;
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

const PATIENCE: Duration = Duration::from_secs(20);

fn letter(to: &str) -> Letter {
    Letter {
        to: to.to_owned(),
        subject: "Grüße".to_owned(),
        text: "Hello,\n.\nhttps://example.org/#token=abc\n".to_owned(),
    }
}

fn settings(port: u16) -> MailSettings {
    MailSettings {
        smtp: Some(Smtp {
            host: "127.0.0.1".to_owned(),
            port: Some(port),
            tls: Tls::None,
            username: None,
            password: None,
            password_file: None,
        }),
        ..MailSettings::default()
    }
}

/// A mail server that takes everything but what is for `nobody`, after failing as often as told.
/// Each line it was sent after `DATA` comes out as one text.
async fn server(mut failures: u32) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (taken, texts) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (read, mut write) = socket.into_split();
            let mut lines = BufReader::new(read).lines();
            let greeting = if failures > 0 { "421 later\r\n" } else { "220 here\r\n" };
            failures = failures.saturating_sub(1);
            write.write_all(greeting.as_bytes()).await.ok();
            let mut body: Option<String> = None;
            while let Ok(Some(line)) = lines.next_line().await {
                let answer = match &mut body {
                    Some(text) if line == "." => {
                        taken.send(std::mem::take(text)).ok();
                        body = None;
                        "250 taken"
                    }
                    Some(text) => {
                        text.push_str(&line);
                        text.push('\n');
                        continue;
                    }
                    None if line == "DATA" => {
                        body = Some(String::new());
                        "354 go on"
                    }
                    None if line.contains("nobody@") => "550 no such mailbox",
                    None => "250 fine",
                };
                write.write_all(format!("{answer}\r\n").as_bytes()).await.ok();
            }
        }
    });
    (port, texts)
}

fn mailer(settings: &MailSettings, folder: Option<PathBuf>) -> (Mailer, watch::Sender<()>) {
    let (mailer, postman) =
        Mailer::new(settings, folder, ManualClock::shared(1_000), SeededRng::shared(5)).unwrap();
    let (stop, stopped) = watch::channel(());
    tokio::spawn(postman.expect("somewhere to go").run(stopped));
    (mailer, stop)
}

#[tokio::test]
async fn a_letter_arrives_whole() {
    let (port, mut texts) = server(0).await;
    let (mailer, _stop) = mailer(&settings(port), None);
    mailer.send(letter("ann@example.org")).unwrap();
    let text = tokio::time::timeout(PATIENCE, texts.recv()).await.unwrap().unwrap();
    assert!(text.contains("To: ann@example.org"), "{text}");
    assert!(
        text.contains("From: Mainstem <mainstem@localhost>") || text.contains("From: \"Mainstem\""),
        "{text}"
    );
    assert!(text.contains("https://example.org/#token"), "{text}");
    assert!(!text.contains("Subject: Grüße"), "headers are ASCII: {text}");
}

#[tokio::test]
async fn a_refused_letter_holds_nobody_up_and_a_busy_server_is_tried_again() {
    let (port, mut texts) = server(1).await;
    let (mailer, _stop) = mailer(&settings(port), None);
    for to in ["nobody@example.org", "no address", "bob@example.org"] {
        mailer.send(letter(to)).unwrap();
    }
    let text = tokio::time::timeout(PATIENCE, texts.recv()).await.unwrap().unwrap();
    assert!(text.contains("To: bob@example.org"), "{text}");
}

#[tokio::test]
async fn the_folder_holds_letters_for_the_owners_eyes_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("mail");
    let (mailer, _stop) = mailer(&MailSettings::default(), Some(folder.clone()));
    mailer.send(letter("ann@example.org")).unwrap();
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Ok(mut files) = std::fs::read_dir(&folder)
                && let Some(Ok(file)) = files.next()
                && std::fs::read_to_string(file.path()).is_ok_and(|text| text.contains("#token"))
            {
                return file.path();
            }
            tokio::task::yield_now().await;
        }
    });
    let file = found.await.unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn nowhere_to_go_and_bad_settings_are_told() {
    let make = |settings: &MailSettings| {
        Mailer::new(settings, None, ManualClock::shared(0), SeededRng::shared(1))
    };
    let (mailer, postman) = make(&MailSettings::default()).unwrap();
    assert!(postman.is_none() && !mailer.is_working());
    assert!(mailer.send(letter("ann@example.org")).is_err());
    let wrong = MailSettings { from: "nonsense".to_owned(), ..settings(25) };
    assert_eq!(make(&wrong).unwrap_err().key, "from");
    let mut wrong = settings(25);
    if let Some(smtp) = &mut wrong.smtp {
        smtp.username = Some("ann".to_owned());
    }
    assert_eq!(make(&wrong).unwrap_err().key, "smtp.username");
    assert!(!format!("{:?}", letter("a@b")).contains("token"));
}
