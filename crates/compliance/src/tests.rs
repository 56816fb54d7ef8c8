//! The report from facts by hand: what belongs in which section, what is cut and said to be cut,
//! and that nothing from outside breaks out of the text.

mod collect;
mod markdown;
mod period;
mod rig;
