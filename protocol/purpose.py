"""What a certificate of a hall lets a key sign, beside TLS: extended key usages of our own (RFC 5280 4.2.1.12).

They stand in certificates as critical and alone, so that no TLS software takes such a certificate. The numbers are
random UUIDs below 2.25 (ITU-T X.667), which need no registration.
"""

# Records: whose subject is a device. What the hall's evidence authority certifies.
RECORDS = "2.25.147690551196466311861586194030279050913"
# Manifests and exports: the gateway. What the hall's root certifies.
MANIFESTS = "2.25.230613870472936115043498218861054932707"
# What the gateway says of records afterwards (annotations): its command key, under a type of its own. By the root.
ANNOTATIONS = "2.25.316104273583109264882174920536627193845"
