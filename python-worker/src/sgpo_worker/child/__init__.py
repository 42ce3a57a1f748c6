"""The process that runs tasks: engines and training. It is told what to do on stdin and tells what it did as events."""
