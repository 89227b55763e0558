"""What Ray Serve deploys: thin shells that give a service's parts a process, a health check and an orderly end."""
