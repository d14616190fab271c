"""Recording what a real host answers, and playing it back.

`Recorder` is a proxy that stores every exchange in a folder, without its secrets; `Replayer` is a
simulator that answers from such a folder. Both are names of `deepseek_async.simulator`.
"""
