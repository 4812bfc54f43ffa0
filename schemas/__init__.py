"""What photobeam's files hold: records, Arrow schemas, line formats and reasons. No I/O."""
