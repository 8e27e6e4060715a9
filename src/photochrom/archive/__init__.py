"""Archives of any size: photos in object storage, colored by this machine or by a cluster.

Nothing of it is imported unless an address such as s3://... or --cluster is given.
"""
