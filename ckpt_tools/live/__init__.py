"""Questions to the installed model libraries, and the cache of their answers.

`ckpt_tools.probes` is the other side: programs that import a library, each run in a process of its
own, without network, and without memory for weights unless a policy is really loaded.
"""
