//! The embedded hub: an NMDC hub that real clients use; scripts are the supervisor's matter.
