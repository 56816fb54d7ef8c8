//! What the measuring programs in `src/bin` share. Nothing here is a test: figures depend on the
//! machine and on who else uses it, so each is printed beside a yardstick of the same run.

pub mod closed_loop;
pub mod dialects;
pub mod fanout;
pub mod http;
pub mod load;
pub mod machine;
pub mod mainstem;
pub mod peers;
pub mod pipe;
pub mod process;
pub mod report;
pub mod rivals;
pub mod sealing;
pub mod ws;

/// What ends a bench: told in words, to whoever runs it.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Runs a scenario in a directory that is made for it, and removed whatever comes of it.
///
/// # Errors
/// What the scenario says, or that the directory cannot be made or removed.
pub fn in_own_directory(
    dir: &std::path::Path,
    scenario: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Fault> {
    std::fs::create_dir_all(dir)?;
    let outcome = scenario();
    std::fs::remove_dir_all(dir)?;
    outcome
}
