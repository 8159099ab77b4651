"""The technician's command line: keys of a hall, enrolment of devices, their first flash, revocation."""
