"""The studio: the appraisal and the next trial in the browser; no statistics of its own.

Every answer is one that a command gives, and the page names the command. The state of a page is its address. What takes
time is a job in the workspace, a folder that outlives the server. Needs the extra ``studio``.
"""
