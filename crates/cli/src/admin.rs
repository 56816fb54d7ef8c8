//! The admin API from the terminal.
