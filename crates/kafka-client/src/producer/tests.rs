//! Of a lane.
